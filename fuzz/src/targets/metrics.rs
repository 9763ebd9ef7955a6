//! Lines of a `metrics.jsonl`.

use vapo_study::newest_accuracy;
use vapo_train::Row;

pub(crate) fn metrics(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rows: Vec<Row> = text.lines().filter_map(Row::from_line).collect();
    for row in &rows {
        let line = row.to_line();
        assert_eq!(line.matches('\n').count(), 1, "a row is one line");
        assert_eq!(Row::from_line(&line).as_ref(), Some(row), "a written row is the same row");
        for (key, value) in row.entries() {
            assert_eq!(row.get(key), value.as_f64());
            assert_eq!(row.required(key).expect("a key of the row"), value.as_f64());
        }
        let _ = row.phase();
        if let Some(accuracy) = row.accuracy() {
            assert!(!accuracy.is_nan());
        }
    }
    assert_eq!(newest_accuracy(&rows), rows.iter().filter_map(Row::accuracy).next_back());
}
