//! A text larger than memory is learnt from in bounded memory. One test alone in its process: it looks at its peak.

#![cfg(target_os = "linux")]

use microgpt::Config;
use microgpt::batch::Batch;
use microgpt::documents::DataMode;
use microgpt::rng::Rng;
use microgpt::token::TokenizerKind;
use microgpt_runs::data::{IN_MEMORY, Source};
use std::io::{BufWriter, Write};

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_text_of_many_times_the_bound_takes_no_more_than_it() {
    const BOUND: u64 = 48 << 20;
    const LINES: usize = 2_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.txt");
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    for i in 0..LINES {
        writeln!(file, "line {} of a book that never ends, or so it seems: {}", i % 1009, i * i % 7919)
            .unwrap();
    }
    drop(file);
    let len = path.metadata().unwrap().len();
    assert!(len > IN_MEMORY * 3 / 2, "{len}");
    for (data_mode, tokenizer) in
        [(DataMode::Stream, TokenizerKind::Bpe), (DataMode::Lines, TokenizerKind::Char)]
    {
        let config = Config { data_mode, tokenizer, val_fraction: 0.1, ..Config::default() };
        let data = Source::Files(vec![path.clone()]).read().unwrap();
        let (mut corpus, files) = data.corpus_in(folder.path(), &config, None, &mut Rng::new(1)).unwrap();
        let mut batch = Batch::default();
        for i in 0..1000 {
            corpus.fill(&mut batch, i, 1, 64).unwrap();
        }
        assert!(batch.rows() > 30 && corpus.len() >= LINES);
        // Blocks, the order of the documents (4 bytes each), words: and the program itself.
        assert!(peak() < BOUND, "{data_mode} {tokenizer}: {} bytes for a text of {len}", peak());
        drop(files);
    }
}
