//! The style and the one script, inside the program; their addresses change with their content, so they may be kept.

use std::sync::LazyLock;

use super::svg;

/// Where the style is.
pub(super) const STYLE_PATH: &str = "/dashboard/assets/style.css";
/// Where the script is.
pub(super) const SCRIPT_PATH: &str = "/dashboard/assets/dashboard.js";
/// The script: only what is smoother with it.
pub(super) const SCRIPT: &str = include_str!("dashboard.js");

static STYLE: LazyLock<String> =
    LazyLock::new(|| format!("{}{}", svg::STYLE, include_str!("style.css")));
static STYLE_HREF: LazyLock<String> = LazyLock::new(|| href(STYLE_PATH, &STYLE));
static SCRIPT_HREF: LazyLock<String> = LazyLock::new(|| href(SCRIPT_PATH, SCRIPT));

fn href(path: &str, text: &str) -> String {
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{path}?v={}", &digest[..12])
}

/// The style of the pages and of the charts in them.
pub(super) fn style() -> &'static str {
    &STYLE
}

pub(super) fn style_href() -> String {
    STYLE_HREF.clone()
}

pub(super) fn script_href() -> String {
    SCRIPT_HREF.clone()
}
