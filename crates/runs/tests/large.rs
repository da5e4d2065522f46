//! A text that is larger than what may be in memory: the same bits as one that is not.

use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::rng::Rng;
use microgpt::token::TokenizerKind;
use microgpt::{Config, Error};
use microgpt_runs::data::Source;
use std::path::{Path, PathBuf};

fn config(data_mode: DataMode, tokenizer: TokenizerKind) -> Config {
    Config { data_mode, tokenizer, vocab_size: 300, val_fraction: 0.1, seed: 5, ..Config::default() }
}

/// What is learnt and what is held back.
fn batches(corpus: &mut Corpus) -> (Batch, Batch) {
    let (mut learnt, mut held_back) = (Batch::default(), Batch::default());
    corpus.fill(&mut learnt, 0, 50, 9).unwrap();
    let all = corpus.validation_len(20, 9);
    corpus.fill_validation(&mut held_back, 0, all, all, 9).unwrap();
    (learnt, held_back)
}

fn write(folder: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_is_learnt_does_not_depend_on_where_the_text_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = |n: usize, end: &str| {
        let lines: Vec<String> = (0..n).map(|i| format!("été {} déjà {}", i * i % 97, i % 13)).collect();
        lines.join("\n") + end
    };
    write(folder.path(), "texts/b.txt", text(300, "").as_bytes());
    write(folder.path(), "texts/a/first.md", text(200, "\r\n\n").as_bytes());
    write(folder.path(), "texts/a/.hidden", b"never read");
    write(folder.path(), "texts/a/picture.png", b"\x89PNG\0\0");
    let last = write(folder.path(), "last.txt", text(100, "\n").as_bytes());
    let source = Source::Files(vec![folder.path().join("texts"), last]);
    for data_mode in [DataMode::Lines, DataMode::Stream] {
        for kind in [TokenizerKind::Char, TokenizerKind::Byte, TokenizerKind::Bpe] {
            let config = config(data_mode, kind);
            let of = |most: u64| -> (String, Corpus, Rng) {
                let mut rng = Rng::new(config.seed);
                let data = source.read_up_to(most).unwrap();
                (data.sha256.clone(), data.corpus(&config, None, &mut rng).unwrap(), rng)
            };
            let (sha, mut here, rng) = of(1 << 20);
            let (large_sha, mut there, large_rng) = of(100);
            assert_eq!((here.tokenizer.clone(), here.len()), (there.tokenizer.clone(), there.len()));
            assert_eq!(here.tokenizer.kind(), kind);
            assert_eq!((batches(&mut here), rng), (batches(&mut there), large_rng), "{data_mode} {kind}");
            assert_eq!(sha, large_sha, "{data_mode} {kind}");
            let documents = if data_mode == DataMode::Lines { 600 } else { here.len() };
            assert_eq!((here.len(), there.held_back()), (documents, here.held_back()));

            // As a run does it: the tokens are kept, and found again.
            let run = folder.path().join(format!("run-{data_mode}-{kind}"));
            let (kept, files) =
                source.read_up_to(100).unwrap().corpus_in(&run, &config, None, &mut Rng::new(5)).unwrap();
            files.unwrap().keep(&run).unwrap();
            let tokenizer = Some(kept.tokenizer.clone());
            let data = source.read_up_to(100).unwrap();
            let (mut found, files) =
                data.corpus_in(&run, &config, tokenizer.clone(), &mut Rng::new(5)).unwrap();
            assert!(files.is_none());
            assert_eq!(batches(&mut found), batches(&mut here));
            // What was cut short is made anew.
            let tokens = std::fs::read(run.join("tokens.bin")).unwrap();
            std::fs::write(run.join("tokens.bin"), &tokens[1..]).unwrap();
            let data = source.read_up_to(100).unwrap();
            let (mut anew, files) = data.corpus_in(&run, &config, tokenizer, &mut Rng::new(5)).unwrap();
            assert!(files.is_some());
            assert_eq!(batches(&mut anew), batches(&mut here));
            // A file that shrinks meanwhile is an error.
            std::fs::write(run.join("tokens.bin"), b"").unwrap();
            let lost = (0..50).map(|i| found.fill(&mut Batch::default(), i, 1, 9)).find(|read| read.is_err());
            let lost = lost.unwrap().unwrap_err().to_string();
            assert!(lost.starts_with("tokens.bin: expected "), "{lost}");
        }
    }
}

#[test]
fn errors_name_the_file_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let error = |paths: &[&PathBuf], most: u64, config: &Config| -> String {
        let source = Source::Files(paths.iter().map(|path| path.to_path_buf()).collect());
        let found: Result<_, Error> =
            source.read_up_to(most).and_then(|data| data.corpus(config, None, &mut Rng::new(1)));
        found.unwrap_err().to_string().replace(&folder.path().display().to_string(), "HERE")
    };
    let chars = config(DataMode::Lines, TokenizerKind::Char);
    assert_eq!(
        error(&[&empty], 9, &chars),
        "HERE/empty: expected a folder with text files, found none in it"
    );
    let missing = folder.path().join("no.txt");
    let good = write(folder.path(), "good.txt", b"anna\nbob");
    for most in [1, 1000] {
        assert_eq!(
            error(&[&good, &missing], most, &chars),
            "HERE/no.txt: expected a text to learn from, found no such file or folder"
        );
        let bad = write(folder.path(), "bad.txt", b"anna\nb\xc5b\n");
        assert_eq!(
            error(&[&good, &bad], most, &chars),
            "HERE/bad.txt: expected UTF-8 text, found byte 0xc5 at offset 6 (line 2)"
        );
        let blank = write(folder.path(), "blank.txt", b" \n\n");
        assert_eq!(
            error(&[&blank], most, &chars),
            "HERE/blank.txt: expected a document per line, found nothing but blank lines"
        );
        // Bytes are bytes.
        let bytes = config(DataMode::Lines, TokenizerKind::Bpe);
        let data = Source::Files(vec![good.clone(), bad]).read_up_to(most).unwrap();
        assert_eq!(data.corpus(&bytes, None, &mut Rng::new(1)).unwrap().len(), 4);
    }
}
