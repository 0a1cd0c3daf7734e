//! Source text as the rules look at it: code without comments, texts and tests, and the paths that it names.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file with its place from the top folder, with `/` between the parts.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A path that code names: `crate::domain::Event`, `std::fs`, `prost::Message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) parts: Vec<String>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Code of the product, not of its tests.
    pub(crate) fn is_product(&self) -> bool {
        self.is_rust() && self.path.starts_with("src/") && !self.path.ends_with("/tests.rs")
    }

    /// The code without comments, texts and tests, line by line as it was.
    pub(crate) fn code(&self) -> String {
        without_tests(&without_text(&self.text))
    }

    /// The modules that lead to the file: `src/store/sled_home/engine.rs` is `store`, `sled_home`, `engine`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        path.strip_suffix(".rs")
            .unwrap_or(path)
            .split('/')
            .collect()
    }

    /// The layer, or file of the top, that it belongs to.
    pub(crate) fn layer(&self) -> &str {
        self.modules()[0]
    }
}

/// The files of the repository: those that git tracks or would, or, without git, those that are no output.
pub(crate) fn tracked() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root)
        .output();
    let paths: Vec<String> = match listed {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            listed.split_terminator('\0').map(str::to_owned).collect()
        }
        _ => walk(root),
    };
    let read = |path: String| {
        // what is deleted but still tracked, and what is no text, has nothing to say
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some(File { path, text })
    };
    let mut files: Vec<File> = paths.into_iter().filter_map(read).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(root: &Path) -> Vec<String> {
    const OUTPUT: [&str; 5] = ["target", ".git", ".venv", "data", "__pycache__"];
    let mut folders = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry: PathBuf = entry.unwrap().path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            if entry.is_dir() {
                if !OUTPUT.contains(&&*name) {
                    folders.push(entry);
                }
            } else if let Ok(path) = entry.strip_prefix(root) {
                let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
                paths.push(parts.join("/"));
            }
        }
    }
    paths
}

/// Blanks out comments and the content of texts and characters; every line keeps its number.
pub(crate) fn without_text(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let starts = |i: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(k, c)| chars.get(i + k) == Some(&c))
    };
    let mut i = 0;
    while i < chars.len() {
        let end = if starts(i, "//") {
            (i..chars.len())
                .find(|&k| chars[k] == '\n')
                .unwrap_or(chars.len())
        } else if starts(i, "/*") {
            end_of_comment(&chars, i)
        } else if let Some(end) = end_of_raw_text(&chars, i) {
            end
        } else if chars[i] == '"' {
            end_of_text(&chars, i)
        } else if chars[i] == '\'' {
            end_of_character(&chars, i)
        } else {
            out.push(chars[i]);
            i += 1;
            continue;
        };
        out.extend(
            chars[i..end]
                .iter()
                .map(|&c| if c == '\n' { c } else { ' ' }),
        );
        i = end;
    }
    out
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_raw_text(chars: &[char], start: usize) -> Option<usize> {
    let inside_name = start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_');
    if chars[start] != 'r' || (inside_name && chars[start - 1] != 'b') {
        return None;
    }
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |&k: &usize| {
        chars[k] == '"' && chars[k + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    let close = (open + 1..chars.len()).find(closes);
    Some(close.map_or(chars.len(), |close| close + 1 + hashes))
}

fn end_of_text(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// Of `'a'`, `'\n'` and `'\u{1f}'`; a lifetime ends where it begins.
fn end_of_character(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => (start + 3..chars.len())
            .find(|&k| chars[k] == '\'')
            .map_or(chars.len(), |close| close + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// Blanks out every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        out.push_str(&rest[..start]);
        let mut depth = 0;
        let mut end = rest.len();
        for (i, c) in rest[start..].char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 && (c == '}' || c == ';') {
                end = start + i + 1;
                break;
            }
        }
        out.extend(rest[start..end].chars().filter(|&c| c == '\n'));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The paths of two parts or more that the code names, those of a `use {…}` one by one; and single names after `use`.
pub(crate) fn paths(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut in_use = false;
    let mut i = 0;
    while i < tokens.len() {
        let token = tokens[i].1.as_str();
        let is_continued = i > 0 && matches!(tokens[i - 1].1.as_str(), "::" | ".");
        if token == "use" || token == ";" {
            in_use = token == "use";
            i += 1;
        } else if is_name(token) && !is_continued {
            i = path(&tokens, i, &[], in_use, &mut found);
        } else {
            i += 1;
        }
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path from `start` on; returns where it ends.
fn path(
    tokens: &[(usize, String)],
    start: usize,
    before: &[String],
    in_use: bool,
    found: &mut Vec<Named>,
) -> usize {
    let mut parts = before.to_vec();
    let line = tokens[start].0;
    let mut i = start;
    let text = |i: usize| tokens.get(i).map_or("", |token| &*token.1);
    while is_name(text(i)) {
        parts.push(text(i).to_owned());
        i += 1;
        if text(i) != "::" {
            break;
        }
        i += 1;
        if in_use && text(i) == "{" {
            i += 1;
            while i < tokens.len() && text(i) != "}" {
                if is_name(text(i)) {
                    i = path(tokens, i, &parts, in_use, found);
                } else {
                    i += 1;
                }
            }
            return i + 1;
        }
    }
    if text(i) == "as" && in_use {
        i += 2;
    }
    if parts.len() > 1 || in_use {
        found.push(Named { line, parts });
    }
    i.max(start + 1)
}

fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        if c.is_whitespace() {
            continue;
        }
        let mut token = String::from(c);
        let is_word = c.is_alphanumeric() || c == '_';
        while let Some(&next) = chars.peek() {
            let joins = if is_word {
                next.is_alphanumeric() || next == '_'
            } else {
                token == ":" && next == ':'
            };
            if !joins {
                break;
            }
            token.push(next);
            chars.next();
        }
        tokens.push((line, token));
    }
    tokens
}
