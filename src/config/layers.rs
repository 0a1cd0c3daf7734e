//! Laying file, environment and flags over the defaults, with figment; and what may stand in each
//! of them.

use std::ops::Range;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::checks::settings;
use super::{DEFAULT, ENV_PREFIX, Effective, Loaded, SettingFault, SettingFaults};
use crate::application::spelling::{nearest, suggestion};

/// A setting on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The flag: `--listen`.
    pub flag: String,
    /// The key: `server.listen`.
    pub key: String,
    /// The value as it was given.
    pub value: String,
}

/// What lies over the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// The name and the text of the file.
    pub file: Option<(String, String)>,
    /// Names and values of the environment variables with [`ENV_PREFIX`].
    pub env: Vec<(String, String)>,
    /// The flags.
    pub flags: Vec<Override>,
}

/// One source of settings.
struct Layer {
    origin: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

impl Layers {
    /// Lays them over the defaults and checks everything.
    ///
    /// # Errors
    /// Every fault.
    pub fn load(self) -> Result<Loaded, SettingFaults> {
        let mut faults = Vec::new();
        let defaults = dict(DEFAULT).map_err(|e| SettingFaults::one("default", e))?;
        let mut figment = Figment::from(Layer {
            origin: "default".to_owned(),
            dict: defaults.clone(),
        });
        let file = self.file.as_ref();
        if let Some((name, text)) = file {
            match dict(text) {
                Ok(dict) => {
                    let mut kept = Dict::new();
                    keep(
                        &defaults,
                        &dict,
                        &mut kept,
                        &mut Vec::new(),
                        &mut |path, message| {
                            let place = place(name, text, path);
                            faults.push(SettingFault { place, message });
                        },
                    );
                    figment = figment.merge(Layer {
                        origin: format!("file {name}"),
                        dict: kept,
                    });
                }
                Err(_) => faults.extend(syntax_faults(name, text)),
            }
        }
        for (name, value) in &self.env {
            let key = name[ENV_PREFIX.len().min(name.len())..].to_lowercase();
            let key = key.replace("__", ".");
            let origin = format!("environment variable {name}");
            let known = || {
                let names: Vec<String> = keys(&defaults).iter().map(|key| env_name(key)).collect();
                names
            };
            merge_text(
                &mut figment,
                &defaults,
                &origin,
                &key,
                value,
                &known,
                &mut faults,
            );
        }
        for flag in &self.flags {
            let origin = format!("flag {}", flag.flag);
            let known = || keys(&defaults);
            let (key, value) = (flag.key.as_str(), flag.value.as_str());
            merge_text(
                &mut figment,
                &defaults,
                &origin,
                key,
                value,
                &known,
                &mut faults,
            );
        }
        let find_place = |key: &str| {
            let origin = origin(&figment, key);
            match file.filter(|(name, _)| origin == format!("file {name}")) {
                Some((name, text)) => place(name, text, &key.split('.').collect::<Vec<_>>()),
                None => origin,
            }
        };
        let settings = settings(&figment, &find_place, &mut faults);
        match settings {
            Some(settings) if faults.is_empty() => Ok(Loaded {
                settings,
                effective: effective(&figment),
            }),
            _ => {
                // those of the file as they stand there, then those of the environment and the flags
                faults.sort_by_key(|fault| line(file.map(|(name, _)| name.as_str()), fault));
                Err(SettingFaults(faults))
            }
        }
    }
}

/// The line of a fault in the file; those that stand elsewhere come after all lines.
fn line(file: Option<&str>, fault: &SettingFault) -> usize {
    let Some(place) = file.and_then(|name| fault.place.strip_prefix(name)) else {
        return usize::MAX;
    };
    let line = place.strip_prefix(':').map_or(Ok(0), str::parse);
    line.unwrap_or(usize::MAX)
}

fn dict(text: &str) -> Result<Dict, String> {
    let mut data = Toml::string(text)
        .data()
        .map_err(|error| error.to_string())?;
    Ok(data.remove(&Profile::Default).unwrap_or_default())
}

/// Copies what may stand in a file, and tells what may not.
fn keep<'a>(
    defaults: &Dict,
    given: &'a Dict,
    kept: &mut Dict,
    path: &mut Vec<&'a str>,
    fault: &mut impl FnMut(&[&str], String),
) {
    for (key, value) in given {
        path.push(key);
        let name = path.join(".");
        match (defaults.get(key), value) {
            (None, _) => {
                let siblings: Vec<&str> = defaults.keys().map(String::as_str).collect();
                let right = suggestion(key, &siblings);
                fault(path, format!("unknown setting {name}; {right}"));
            }
            (Some(Value::Dict(_, inner)), Value::Dict(_, given)) => {
                let mut copy = Dict::new();
                keep(inner, given, &mut copy, path, fault);
                kept.insert(key.clone(), copy.into());
            }
            (Some(Value::Dict(..)), _) => {
                fault(path, format!("{name} is a section: write [{name}]"));
            }
            (Some(default), value) if same_type(default, value) => {
                kept.insert(key.clone(), value.clone());
            }
            (Some(default), _) => fault(path, format!("{name} must be {}", wanted(default))),
        }
        path.pop();
    }
}

fn same_type(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::String(..), Value::String(..)) | (Value::Bool(..), Value::Bool(..)) => true,
        (Value::Num(..), Value::Num(_, num)) => num.to_f64().is_none(),
        _ => false,
    }
}

fn wanted(default: &Value) -> &'static str {
    match default {
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a whole number",
        _ => "a text in quotes",
    }
}

/// Lays one value given as text over the others; its type is that of the default.
fn merge_text(
    figment: &mut Figment,
    defaults: &Dict,
    origin: &str,
    key: &str,
    text: &str,
    known: &dyn Fn() -> Vec<String>,
    faults: &mut Vec<SettingFault>,
) {
    let mut fault = |message: String| {
        faults.push(SettingFault {
            place: origin.to_owned(),
            message,
        });
    };
    let whole = Value::from(defaults.clone());
    let default = match whole.find_ref(key) {
        Some(Value::Dict(..)) | None => {
            let names = known();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let given = origin.rsplit(' ').next().unwrap_or(key);
            let nearest = nearest(key, &names).or_else(|| nearest(given, &names));
            let right = match nearest {
                Some(name) => format!("did you mean {name}?"),
                None => "`nextbest config` prints all".to_owned(),
            };
            fault(format!("there is no setting {key:?}; {right}"));
            return;
        }
        Some(default) => default,
    };
    let value = match default {
        Value::Bool(..) => text.trim().parse::<bool>().ok().map(Value::from),
        Value::Num(..) => text.trim().parse::<i64>().ok().map(Value::from),
        _ => Some(Value::from(text)),
    };
    let Some(value) = value else {
        let wanted = wanted(default);
        fault(format!("{key} must be {wanted}, not {text:?}"));
        return;
    };
    let dict = figment::util::nest(key, value)
        .into_dict()
        .unwrap_or_default();
    let layer = Layer {
        origin: origin.to_owned(),
        dict,
    };
    *figment = std::mem::take(figment).merge(layer);
}

/// The keys of all settings: `journal.durability`.
fn keys(defaults: &Dict) -> Vec<String> {
    let mut keys = Vec::new();
    for (section, inner) in defaults {
        if let Some(inner) = inner.as_dict() {
            keys.extend(inner.keys().map(|key| format!("{section}.{key}")));
        }
    }
    keys
}

fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(
        || "default".to_owned(),
        |metadata| metadata.name.to_string(),
    )
}

/// Every setting in the order of the default file.
fn effective(figment: &Figment) -> Vec<Effective> {
    let mut all = Vec::new();
    let mut section = "";
    for line in DEFAULT.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let path = format!("{section}.{key}");
            all.push(Effective {
                section: section.to_owned(),
                key: key.to_owned(),
                value: figment
                    .find_value(&path)
                    .map_or_else(|_| String::new(), |v| shown(&v)),
                origin: origin(figment, &path),
            });
        }
    }
    all
}

/// A value as TOML.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => toml::Value::from(text.as_str()).to_string(),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, num) => number(*num),
        _ => String::new(),
    }
}

fn number(num: Num) -> String {
    match (num.to_u128(), num.to_i128()) {
        (Some(value), _) => value.to_string(),
        (None, Some(value)) => value.to_string(),
        (None, None) => num.to_f64().unwrap_or_default().to_string(),
    }
}

fn syntax_faults(name: &str, text: &str) -> Vec<SettingFault> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<SettingFault> = errors
        .iter()
        .map(|error| {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            SettingFault {
                place: format!("{name}:{line}"),
                message: format!("not TOML: {}", error.message()),
            }
        })
        .collect();
    if faults.is_empty() {
        faults.push(SettingFault {
            place: name.to_owned(),
            message: "not TOML".to_owned(),
        });
    }
    faults
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The file with the line in which a key stands.
fn place(name: &str, text: &str, path: &[&str]) -> String {
    let found = DeTable::parse(text).ok().and_then(|whole| {
        let mut table: &DeTable<'_> = whole.get_ref();
        let mut span = 0..0;
        for key in path {
            let (own, value): (&Spanned<_>, &Spanned<DeValue<'_>>) = table.get_key_value(*key)?;
            span = own.span();
            if let Some(inner) = value.get_ref().as_table() {
                table = inner;
            }
        }
        Some(line_of(text, &span))
    });
    match found {
        Some(line) => format!("{name}:{line}"),
        None => name.to_owned(),
    }
}
