//! Settings: file over default, environment over file, flag over environment; every fault at once.

use std::path::PathBuf;
use std::process::Command;

use nextbest::config::{
    DEFAULT, Durability, Layers, Loaded, LogFormat, Override, SettingFaults, load, recipes,
};

fn flag(key: &str, value: &str) -> Override {
    Override {
        flag: "--set".to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn layers(
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Loaded, SettingFaults> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Layers {
        file: Some(("own.toml".to_owned(), file.to_owned())),
        env: env.iter().map(pair).collect(),
        flags: flags.iter().map(|(key, value)| flag(key, value)).collect(),
    }
    .load()
}

fn faults(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    let faults = layers(file, env, flags).unwrap_err();
    faults.0.iter().map(ToString::to_string).collect()
}

fn check(file: &str, parts: &[&str]) {
    let found = faults(file, &[], &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    for part in parts {
        assert!(
            found[0].contains(part),
            "{} does not say {part:?}",
            found[0]
        );
    }
}

#[test]
fn faults_are_in_the_order_of_lines_whatever_finds_them() {
    let file = "[server]\ndrain_seconds = -1\n\n[journal]\ndurability = \"sometimes\"\nnonsense = 1\n\n\
        [data]\nfolder = 3\n\n[training]\nmax_rows = -4\n";
    let env = [("NEXTBEST_LOG__LEVEL", "shouting")];
    let found = faults(file, &env, &[("server.drain_seconds", "long")]);
    let places: Vec<&str> = found
        .iter()
        .map(|text| text.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "own.toml:2",
            "own.toml:5",
            "own.toml:6",
            "own.toml:9",
            "own.toml:12",
            "flag --set",
            "environment variable NEXTBEST_LOG__LEVEL",
        ]
    );
}

#[test]
fn the_defaults_are_right_and_every_one_has_a_comment() {
    let loaded = Layers::default().load().unwrap();
    assert_eq!(loaded.settings.data.folder, PathBuf::from("nextbest-data"));
    assert_eq!(loaded.settings.journal.durability, Durability::Always);
    assert_eq!(loaded.settings.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(loaded.settings.models.folder, None);
    assert!(
        loaded
            .effective
            .iter()
            .all(|setting| setting.origin == "default")
    );
    let lines: Vec<&str> = DEFAULT.lines().collect();
    for pair in lines.windows(2) {
        assert!(
            pair[1].starts_with('#') || !pair[1].contains(" = ") || pair[0].starts_with('#'),
            "{} has no comment",
            pair[1]
        );
    }
}

#[test]
fn what_comes_later_wins_and_says_where_it_came_from() {
    let file = "[journal]\ndurability = \"interval\"\ncache_mb = 100\ninterval_ms = 300\n";
    let env = [
        ("NEXTBEST_JOURNAL__CACHE_MB", "200"),
        ("NEXTBEST_JOURNAL__INTERVAL_MS", "400"),
    ];
    let flags = [("journal.interval_ms", "500"), ("data.folder", "7")];
    let loaded = layers(file, &env, &flags).unwrap();
    let journal = &loaded.settings.journal;
    assert_eq!(journal.durability, Durability::Interval);
    assert_eq!((journal.cache_mb, journal.interval_ms), (200, 500));
    assert_eq!(loaded.settings.data.folder, PathBuf::from("7"));
    let text = loaded.to_toml();
    for line in [
        "[journal]",
        "durability = \"interval\" # file own.toml",
        "cache_mb = 200 # environment variable NEXTBEST_JOURNAL__CACHE_MB",
        "interval_ms = 500 # flag --set",
        "mirror = true # default",
        "folder = \"7\" # flag --set",
    ] {
        assert!(
            text.lines().any(|own| own == line),
            "{line} is not in\n{text}"
        );
    }
    // what is printed is a settings file again
    assert_eq!(layers(&text, &[], &[]).unwrap().settings, loaded.settings);
}

#[test]
fn unknown_keys_are_errors_with_the_right_name() {
    check(
        "[journal]\n\ndurabilty = \"always\"\n",
        &["own.toml:3:", "did you mean \"durability\"?"],
    );
    check(
        "[jurnal]\nmirror = true\n",
        &["own.toml:1:", "did you mean \"journal\"?"],
    );
    check("journal = 1\n", &["own.toml:1:", "write [journal]"]);
    check(
        "[dashboard]\nhosts = \"shop.example, http://shop.example\"\n",
        &["own.toml:2:", "names of hosts", "http://shop.example"],
    );
    check(
        "[dashboard]\nshop_name = \"two\\nlines\"\n",
        &["own.toml:2:", "dashboard.shop_name must be one line"],
    );
    let found = faults(
        "",
        &[("NEXTBEST_LOG__LEVLE", "info")],
        &[("log.formt", "json")],
    );
    assert!(
        found[0].contains("NEXTBEST_LOG__LEVLE: there is no setting"),
        "{found:?}"
    );
    assert!(
        found[0].contains("did you mean NEXTBEST_LOG__LEVEL?"),
        "{found:?}"
    );
    assert!(found[1].contains("did you mean log.format?"), "{found:?}");
}

#[test]
fn values_have_types_and_ranges() {
    check(
        "[journal]\nmirror = \"yes\"\n",
        &["own.toml:2:", "journal.mirror must be true or false"],
    );
    check(
        "[journal]\ncache_mb = 4\n",
        &["own.toml:2:", "from 8 to 65536, not 4"],
    );
    check("[journal]\ncache_mb = 64.5\n", &["must be a whole number"]);
    check("[training]\nseed = -1\n", &["training.seed must be from 0"]);
    check(
        "[log]\nlevel = \"inof\"\n",
        &["own.toml:2:", "did you mean \"info\"?"],
    );
    check(
        "[server]\nlisten = \"localhost\"\n",
        &["an IP address and a port"],
    );
    check("[data]\nfolder = \"\"\n", &["data.folder must be the path"]);
    check("[data\n", &["own.toml:1:", "not TOML"]);
    let text = "[training]\nmin_questions = 50000\n";
    check(text, &["is more than training.max_questions"]);
    let found = faults(
        "[journal]\ncache_mb = 0\n",
        &[("NEXTBEST_LOG__FORMAT", "xml")],
        &[
            ("journal.mirror", "perhaps"),
            ("server.drain_seconds", "-1"),
        ],
    );
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn listening_beyond_this_machine_must_be_said_in_plain_words() {
    let open = "[server]\nlisten = \"0.0.0.0:50051\"\n";
    check(
        open,
        &[
            "own.toml:2:",
            "can be reached from other machines",
            "no authentication",
        ],
    );
    let allowed = format!("{open}allow_remote_without_authentication = true\n");
    assert!(layers(&allowed, &[], &[]).is_ok());
    assert!(layers("[server]\nlisten = \"[::1]:0\"\n", &[], &[]).is_ok());
    // HTTP as well as gRPC; empty: there is none
    let open = "[server]\nhttp_address = \"0.0.0.0:80\"\n";
    check(
        open,
        &["own.toml:2:", "server.http_address", "no authentication"],
    );
    check(
        "[server]\nhttp_address = \"localhost\"\n",
        &["own.toml:2:", "127.0.0.1:50052"],
    );
    let off = layers("[server]\nhttp_address = \"\"\n", &[], &[]).unwrap();
    assert_eq!(off.settings.server.http_address, None);
}

#[test]
fn the_file_in_the_data_folder_is_read_and_may_not_move_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nextbest.toml");
    let here = || vec![flag("data.folder", &folder.path().display().to_string())];
    assert!(load(None, [], here()).is_ok());
    std::fs::write(&path, "[log]\nformat = \"json\"\n").unwrap();
    let loaded = load(None, [], here()).unwrap();
    assert_eq!(loaded.settings.log.format, LogFormat::Json);
    let other = [(
        "NEXTBEST_DATA__FOLDER".to_owned(),
        folder.path().display().to_string(),
    )];
    std::fs::write(&path, "[data]\nfolder = \"elsewhere\"\n").unwrap();
    let _ = load(None, other, vec![]).expect("the environment wins over the file");
    let missing = folder.path().join("missing.toml");
    let faults = load(Some(&missing), [], vec![]).unwrap_err();
    assert!(faults.0[0].message.contains("cannot be read"));
}

fn nextbest(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    // those of the tests are no settings of the service
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEXTBEST_") {
            command.env_remove(name);
        }
    }
    let output = command.args(args).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code(), text)
}

#[test]
fn config_and_check_say_what_is_so() {
    let (code, text) = nextbest(&["config", "--set", "training.seed=8"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("seed = 8 # flag --set"), "{text}");
    let (code, text) = nextbest(&["config", "--defaults"]);
    assert_eq!((code, text.as_str()), (Some(0), DEFAULT));
    let (code, text) = nextbest(&["config", "--set", "training.sede=8"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("did you mean training.seed?"), "{text}");

    let (code, text) = nextbest(&["check"]);
    assert_eq!(code, Some(0), "{text}");
    let folder = tempfile::tempdir().unwrap();
    for file in nextbest::application::recipes::embedded_files() {
        std::fs::write(folder.path().join(file.name), file.text).unwrap();
    }
    assert!(recipes(Some(folder.path())).is_ok());
    let path = folder.path().join("decision.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("personal ", "persnal ");
    std::fs::write(&path, text).unwrap();
    let models = folder.path().display().to_string();
    let (code, text) = nextbest(&["check", "--models", &models, "--set", "log.level=loud"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("decision.toml:") && text.contains("did you mean \"personal\"?"),
        "{text}"
    );
    assert!(text.contains("log.level cannot be \"loud\""), "{text}");
}

#[test]
fn a_key_of_tokens_is_shared_by_its_file_and_a_bad_one_ends_the_start() {
    use nextbest::application::recipes::Recipes;
    use nextbest::server::Service;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = layers("", &[], &[]).unwrap().settings;
    settings.data.folder = folder.path().join("data");
    assert_eq!(settings.attribution.key_file, None);
    let open = |settings: &nextbest::config::Settings| {
        let service = Service::open(settings, &Recipes::embedded().unwrap());
        service.map(|service| {
            let key = service.shop.settings.key.clone();
            service.close().unwrap();
            key
        })
    };
    let own = open(&settings).unwrap();
    assert_eq!(open(&settings).unwrap(), own, "a restart keeps it");
    let shared = folder.path().join("shared.key");
    let name = shared.display().to_string();
    let named = layers("", &[("NEXTBEST_ATTRIBUTION__KEY_FILE", &name)], &[]);
    settings.attribution = named.unwrap().settings.attribution;
    let error = open(&settings).err().unwrap().to_string();
    assert!(
        error.contains(&name) && error.contains("openssl rand -hex 32"),
        "{error}"
    );
    std::fs::copy(folder.path().join("data/attribution.key"), &shared).unwrap();
    assert_eq!(open(&settings).unwrap(), own);
    std::fs::write(&shared, "half a key").unwrap();
    let error = open(&settings).err().unwrap().to_string();
    assert!(error.contains("64 hexadecimal digits"), "{error}");
}
