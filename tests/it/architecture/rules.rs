//! The rules, each with its reason.

use super::source::{File, Named, paths, without_text};

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    /// Where, what, and why that is not allowed.
    pub(crate) message: String,
}

/// A rule looks at one file.
type Rule = fn(&File) -> Vec<(usize, String)>;

/// Name, reason, rule.
pub(crate) const RULES: &[(&str, &str, Rule)] = &[
    (
        "arrows",
        "layers use only what is below them, so that each can be read, tested and replaced alone",
        arrows,
    ),
    (
        "crates",
        "a crate stays in the layer it serves, so that changing it changes one folder",
        crates,
    ),
    (
        "purity",
        "domain, algorithms and state have no clock, randomness, environment or IO: same records, same bytes",
        purity,
    ),
    (
        "unwrap",
        "outside tests a panic needs its reason: expect(\"why it cannot fail\") or an error",
        unwrap,
    ),
    ("unfinished", "what is merged is finished", unfinished),
    (
        "opening",
        "the first line (//!) says what the file is for",
        opening,
    ),
    (
        "length",
        "a file of more than 700 lines holds more than one noun",
        length,
    ),
    (
        "width",
        "a line of more than 120 columns is not read to its end",
        width,
    ),
    ("mod.rs", "a module is foo.rs beside foo/", mod_file),
    (
        "names",
        "utils, helpers, common and manager say nothing of what is inside",
        names,
    ),
    (
        "machine paths",
        "the repository works on every machine: no absolute path of one of them",
        machine_paths,
    ),
];

/// Every broken rule of these files.
pub(crate) fn broken(files: &[File]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for file in files {
        for &(rule, reason, check) in RULES {
            broken.extend(check(file).into_iter().map(|(line, what)| Broken {
                rule,
                message: format!("{}:{line}: {what} ({rule}: {reason})", file.path),
            }));
        }
    }
    broken
}

/// Each layer and what it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "server",
            "telemetry",
            "config",
            "transport",
            "application",
            "state",
            "store",
            "algorithms",
            "domain",
            "simulation",
        ],
    ),
    (
        "server",
        &[
            "telemetry",
            "config",
            "transport",
            "application",
            "state",
            "store",
            "algorithms",
            "domain",
            "proto",
        ],
    ),
    ("telemetry", &["config"]),
    (
        "config",
        &["application", "state", "store", "algorithms", "domain"],
    ),
    (
        "transport",
        &["application", "state", "algorithms", "domain", "proto"],
    ),
    ("application", &["state", "store", "algorithms", "domain"]),
    ("state", &["algorithms", "domain"]),
    ("store", &["domain", "proto"]),
    ("algorithms", &["domain"]),
    ("simulation", &["domain"]),
    ("domain", &[]),
    ("proto", &[]),
];

fn arrows(file: &File) -> Vec<(usize, String)> {
    if !file.is_product() || file.path == "src/lib.rs" {
        return Vec::new();
    }
    let own = file.layer();
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
        let what = format!("{own} is no layer that tests/it/architecture/rules.rs knows");
        return vec![(1, what)];
    };
    let depth = file.modules().len();
    let mut found = Vec::new();
    for named in paths(&file.code()) {
        if let Some(used) = used_layer(&named, depth)
            && used != own
            && !allowed.contains(&used)
        {
            let path = named.parts.join("::");
            let may = if allowed.is_empty() {
                "nothing of this crate".to_owned()
            } else {
                allowed.join(", ")
            };
            found.push((named.line, format!("{own} uses {path}; it may use {may}")));
        }
    }
    found
}

/// The layer that a path leads to, from a file `depth` modules down.
fn used_layer(named: &Named, depth: usize) -> Option<&str> {
    let rest = match named.parts[0].as_str() {
        "crate" | "nextbest" => 1,
        "super" => {
            let up = named.parts.iter().take_while(|part| *part == "super");
            let up = up.count();
            // one more could be the way out of a module within the file
            if up < depth {
                return None;
            }
            up
        }
        _ => return None,
    };
    let layer = named.parts.get(rest)?.as_str();
    let is_layer = LAYERS.iter().any(|(known, _)| *known == layer);
    is_layer.then_some(layer)
}

/// Crates (and what belongs to them) that are for some layers only.
const CRATES: &[(&str, &[&str])] = &[
    ("tonic", &["transport", "proto", "server"]),
    ("hyper", &["transport"]),
    ("prost", &["transport", "store", "proto"]),
    ("sled", &["store"]),
    ("cel", &["application"]),
    ("csv", &["transport", "cli"]),
    ("flate2", &["transport", "cli"]),
    ("clap", &["cli", "main"]),
    ("indicatif", &["cli", "main"]),
    ("anyhow", &["cli", "main"]),
    ("linfa", &["algorithms"]),
    ("ndarray", &["algorithms"]),
    ("sprs", &["algorithms"]),
];

fn crates(file: &File) -> Vec<(usize, String)> {
    if !file.is_product() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for named in paths(&file.code()) {
        let root = named.parts[0].as_str();
        for (name, layers) in CRATES {
            let family = root.strip_prefix(name);
            let is_it = family.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            if is_it && !layers.contains(&file.layer()) {
                let what = format!("{root} belongs to {}", layers.join(", "));
                found.push((named.line, what));
            }
        }
    }
    found
}

/// Paths that have no place where the same input must give the same bytes.
const IMPURE: &[&str] = &[
    "tokio",
    "rand",
    "rand_distr",
    "rand_xoshiro",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::hash::RandomState",
    "std::collections::hash_map::RandomState",
];
const LOUD: &[&str] = &["println!", "eprintln!", "print!", "eprint!", "dbg!"];

fn purity(file: &File) -> Vec<(usize, String)> {
    if !file.is_product() || !["domain", "algorithms", "state"].contains(&file.layer()) {
        return Vec::new();
    }
    let code = file.code();
    let mut found = Vec::new();
    for named in paths(&code) {
        let path = named.parts.join("::");
        let begins = |prefix: &&&str| {
            path.strip_prefix(**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let is_import = path == "std::time" || path == "std";
        if is_import || IMPURE.iter().any(|prefix| begins(&prefix)) {
            found.push((named.line, format!("{path} in {}", file.layer())));
        }
    }
    found.extend(words(&code, LOUD));
    found
}

fn unwrap(file: &File) -> Vec<(usize, String)> {
    if !file.is_product() {
        return Vec::new();
    }
    words(&file.code(), &[".unwrap()"])
}

fn unfinished(file: &File) -> Vec<(usize, String)> {
    if !file.is_rust() {
        return Vec::new();
    }
    words(&without_text(&file.text), &["todo!", "unimplemented!"])
}

/// Where one of `wanted` stands in the code, not as the end of a longer name.
fn words(code: &str, wanted: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in wanted {
            let is_whole = |&(at, _): &(usize, &str)| {
                word.starts_with('.')
                    || !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            };
            if line.match_indices(word).any(|place| is_whole(&place)) {
                found.push((number + 1, (*word).to_owned()));
            }
        }
    }
    found
}

fn opening(file: &File) -> Vec<(usize, String)> {
    let first = file.text.lines().next().unwrap_or_default();
    if file.is_rust() && !first.starts_with("//! ") {
        vec![(1, format!("opens with {first:?}"))]
    } else {
        Vec::new()
    }
}

fn length(file: &File) -> Vec<(usize, String)> {
    let lines = file.text.lines().count();
    if file.is_rust() && lines > 700 {
        vec![(lines, format!("{lines} lines"))]
    } else {
        Vec::new()
    }
}

fn width(file: &File) -> Vec<(usize, String)> {
    if !file.is_rust() {
        return Vec::new();
    }
    let columns = file.text.lines().map(|line| line.chars().count());
    (1..)
        .zip(columns)
        .filter(|&(_, columns)| columns > 120)
        .map(|(number, columns)| (number, format!("{columns} columns")))
        .collect()
}

fn mod_file(file: &File) -> Vec<(usize, String)> {
    if file.path.rsplit('/').next() == Some("mod.rs") {
        vec![(1, file.path.clone())]
    } else {
        Vec::new()
    }
}

fn names(file: &File) -> Vec<(usize, String)> {
    const EMPTY: [&str; 7] = [
        "util", "utils", "helper", "helpers", "common", "manager", "managers",
    ];
    let is_empty = |name: &str| name.split('_').any(|word| EMPTY.contains(&word));
    let mut found = Vec::new();
    let parts = file.path.split('/');
    for part in parts.map(|part| part.split('.').next().unwrap_or_default()) {
        if is_empty(part) {
            found.push((1, format!("{part} in the path")));
        }
    }
    if file.is_rust() {
        for (number, line) in without_text(&file.text).lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            let module = words.find(|word| *word == "mod").and_then(|_| words.next());
            if let Some(module) = module.filter(|module| is_empty(module)) {
                found.push((number + 1, format!("module {module}")));
            }
        }
    }
    found
}

fn machine_paths(file: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for (at, _) in line.match_indices('/') {
            let before = line[..at].chars().next_back();
            let is_inside = before.is_some_and(|c| c.is_alphanumeric() || "/._-~}>)*$".contains(c));
            let rest = &line[at + 1..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            let after = rest[name.len()..].chars().next();
            let is_longer = after.is_some_and(|c| "_-.".contains(c));
            let is_machines = ["work", "root", "home", "tmp"].contains(&&*name);
            if is_machines && !is_inside && !is_longer {
                found.push((number + 1, format!("the absolute path /{name}")));
            }
        }
    }
    found
}
