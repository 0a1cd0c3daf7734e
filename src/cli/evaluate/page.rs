//! The frame of the reports: one HTML file, no network.

use super::html::escape;
use super::plot;

const STYLE: &str = "\
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --line: #ddd; --c0: #0072b2; --c1: #b34a00;
  --c2: #00785a; --c3: #9c4f83; --c4: #8a6d00; --c5: #2f6f9f; --c6: #555; --c7: #a3262a; }
@media (prefers-color-scheme: dark) { :root { --paper: #17191c; --ink: #e8e8e8; --line: #3a3d42; --c0: #56b4e9;
  --c1: #f0883e; --c2: #2fc9a0; --c3: #df9bc7; --c4: #f0e442; --c5: #8cc8f0; --c6: #aaa; --c7: #ff8a8e; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } code { overflow-wrap: anywhere; } figure { margin: 1rem 0; }
.table { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; }
caption { text-align: left; padding: .3rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: right; white-space: nowrap; }
th[scope=row], thead th:first-child { text-align: left; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.legend .key { width: 36px; height: 16px; vertical-align: middle; }
";

/// The page with this body; `command` is what was called.
pub(in crate::cli) fn page(title: &str, body: &str, command: &[String]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n",
        plot::STYLE
    );
    html.push_str(body);
    html.push_str(&origin(command));
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// A part of the page; `body` is HTML.
pub(in crate::cli) fn section(title: &str, text: &str, body: &str) -> String {
    let (title, text) = (escape(title), escape(text));
    format!("<section>\n<h2>{title}</h2>\n<p>{text}</p>\n{body}</section>\n")
}

/// A plot with its legend.
pub(in crate::cli) fn figure(plot: &str, names: &[&str]) -> String {
    let legend = match names {
        [] => String::new(),
        names => plot::legend(names.iter().copied()),
    };
    format!("<figure>\n{plot}{legend}</figure>\n")
}

fn origin(command: &[String]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let command = escape(&command.join(" "));
    let text = format!("Made by nextbest {version}:");
    section(
        "How it was made",
        &text,
        &format!("<pre><code>{command}</code></pre>\n"),
    )
}
