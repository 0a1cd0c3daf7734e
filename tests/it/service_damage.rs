//! Damage that a start mends by itself is told in the log, with what and where.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use nextbest::application::recipes::Recipes;
use nextbest::config::Settings;
use nextbest::domain::{EventDraft, RecordBody, Timestamp};
use nextbest::server::Service;
use nextbest::store::{Checkpoint, Checkpoints};

use crate::harness::{fresh_fold, settings};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens the folder; returns the warnings, too. State is the fold of the journal, whatever was damaged.
fn opened(settings: &Settings) -> (Service, Vec<String>) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .finish();
    let service = tracing::subscriber::with_default(subscriber, || {
        Service::open(settings, &Recipes::embedded().unwrap()).unwrap()
    });
    let fresh = fresh_fold(&service.shop).encode();
    assert!(
        service.shop.known().state.encode() == fresh,
        "State is not the fold"
    );
    let bytes = log.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    (service, text.lines().map(str::to_owned).collect())
}

fn only_warning(warnings: &[String], words: &[&str]) {
    let [warning] = warnings else {
        panic!("{warnings:#?}");
    };
    for word in [&["WARN"], words].concat() {
        assert!(warning.contains(word), "{word}: {warning}");
    }
}

#[test]
fn a_damaged_checkpoint_or_format_is_told_and_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.data.folder = folder.path().to_owned();
    let (service, warnings) = opened(&settings);
    assert_eq!(warnings, [] as [String; 0]);
    let now = Timestamp::from_ms(1_700_000_000_000);
    let draft = EventDraft {
        event_type: "page_view",
        time: Some(Ok(now)),
        customer_id: "c1",
        ..EventDraft::default()
    };
    let events = (0..100).map(|number| {
        let event = draft.check(now, |_| number).unwrap();
        RecordBody::Event(Box::new(event))
    });
    let written = service.use_cases.ingest.write_blocking(events.collect());
    assert_eq!(written.unwrap().new, 100);
    service.close().unwrap();
    let (service, warnings) = opened(&settings);
    assert_eq!(warnings, [] as [String; 0]);
    let (position, epoch) = (service.shop.journal.end(), service.shop.journal.epoch());
    let schema = service.shop.settings.fold.schema();
    service.close().unwrap();

    let checkpoints = Checkpoints::open(folder.path().join("checkpoints")).unwrap();
    let path = checkpoints.path(position, epoch);
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let file = path.display().to_string();
    for bytes in [
        &damaged[..],
        &sound[..sound.len() / 2],
        b"something else entirely",
    ] {
        std::fs::write(&path, bytes).unwrap();
        let (service, warnings) = opened(&settings);
        only_warning(
            &warnings,
            &["a checkpoint cannot be used", &file, "damaged"],
        );
        service.close().unwrap();
    }
    // a sound file with something in it that is no State
    let no_state = Checkpoint {
        position,
        epoch,
        schema,
        bytes: b"no State".to_vec(),
    };
    checkpoints.save(&no_state).unwrap();
    let (service, warnings) = opened(&settings);
    only_warning(
        &warnings,
        &["a checkpoint cannot be used", &file, "not a State"],
    );
    service.close().unwrap();

    let format: PathBuf = folder.path().join("FORMAT");
    let sound = std::fs::read(&format).unwrap();
    std::fs::write(&format, "garbage").unwrap();
    let (service, warnings) = opened(&settings);
    only_warning(&warnings, &["format", "FORMAT", "written anew"]);
    assert_eq!(std::fs::read(&format).unwrap(), sound);
    service.close().unwrap();
    assert_eq!(opened(&settings).1, [] as [String; 0]);
}
