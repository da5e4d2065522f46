//! Reads the tables that the scripts in `tests/interop` wrote.

use std::path::Path;

/// A table of numbers, row after row.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) numbers: Vec<f64>,
}

/// All tables of a file.
pub(crate) struct Golden(Vec<Table>);

impl Golden {
    /// The file `tests/interop/golden/TOPIC.txt`.
    #[expect(clippy::disallowed_methods, reason = "a test reads its recording")]
    pub(crate) fn read(topic: &str) -> Golden {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/golden");
        let text = std::fs::read_to_string(folder.join(format!("{topic}.txt"))).unwrap();
        let (mut lines, mut tables) = (text.lines(), Vec::new());
        while let Some(line) = lines.next() {
            let head: Vec<&str> = line.split(' ').collect();
            let [name, rows, cols] = head[..] else { panic!("{topic}: expected a head, found {line:?}") };
            let (rows, cols) = (rows.parse().unwrap(), cols.parse().unwrap());
            let row = |line: &str| line.split(' ').map(|x| x.parse().unwrap()).collect::<Vec<f64>>();
            let numbers: Vec<f64> = lines.by_ref().take(rows).flat_map(row).collect();
            assert_eq!(numbers.len(), rows * cols, "{topic}: numbers of {name}");
            tables.push(Table { name: name.to_string(), rows, cols, numbers });
        }
        Golden(tables)
    }

    /// The table of that name.
    pub(crate) fn get(&self, name: &str) -> &Table {
        self.0.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table {name}"))
    }
}

impl Table {
    /// Holds what was found to this table: |found - this| at most 1e-5 of |this|, as vectors.
    #[track_caller]
    pub(crate) fn hold(&self, found: &[f64], what: &str) {
        assert_eq!(found.len(), self.numbers.len(), "{what}: numbers of {}", self.name);
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let difference = norm(&mut found.iter().zip(&self.numbers).map(|(a, b)| a - b));
        let error = difference / norm(&mut self.numbers.iter().copied()).max(1e-30);
        assert!(error <= 1e-5, "{what}: {} is off by {error:e}", self.name);
    }
}
