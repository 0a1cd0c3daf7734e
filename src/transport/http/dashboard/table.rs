//! Rows of text as a CSV file.

/// The rows as they stand in a file. A cell that a spreadsheet would take for a formula is led by an apostrophe.
pub(super) fn file(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        let cells = row.iter().map(|cell| defused(cell));
        writer
            .write_record(cells)
            .expect("a vector takes every row");
    }
    writer.into_inner().expect("a vector takes every row")
}

/// Names come from events, and events from anybody.
fn defused(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let rows = [
            vec!["a,b".to_owned(), "say \"x\"".to_owned()],
            vec!["=1+1".to_owned(), "-0.5".to_owned(), "@x".to_owned()],
        ];
        let text = String::from_utf8(file(&rows)).unwrap();
        assert_eq!(text, "\"a,b\",\"say \"\"x\"\"\"\n'=1+1,-0.5,'@x\n");
    }
}
