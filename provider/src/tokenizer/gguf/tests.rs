use super::*;
use crate::tokenizer::fixture;

/// Writes the head of a GGUF file.
#[derive(Default)]
struct Writer(Vec<u8>, u64);

impl Writer {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.1 += 1;
        Self::text(&mut self.0, key);
        self.0.extend(kind.to_le_bytes());
        &mut self.0
    }

    fn string(&mut self, key: &str, text: &str) {
        Self::text(self.key(key, 8), text);
    }

    fn int(&mut self, key: &str, int: u32) {
        self.key(key, 4).extend(int.to_le_bytes());
    }

    fn strings(&mut self, key: &str, list: &[String]) {
        let bytes = self.key(key, 9);
        bytes.extend(8u32.to_le_bytes());
        bytes.extend((list.len() as u64).to_le_bytes());
        list.iter().for_each(|text| Self::text(bytes, text));
    }

    fn ints(&mut self, key: &str, list: &[i32]) {
        let bytes = self.key(key, 9);
        bytes.extend(5u32.to_le_bytes());
        bytes.extend((list.len() as u64).to_le_bytes());
        list.iter().for_each(|int| bytes.extend(int.to_le_bytes()));
    }

    fn file(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(0u64.to_le_bytes());
        file.extend(self.1.to_le_bytes());
        file.extend(self.0);
        file
    }
}

fn read(bytes: &[u8]) -> Result<Metadata, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    std::fs::write(&file, bytes).unwrap();
    Metadata::read(&file)
}

fn model() -> Writer {
    let mut tokens: Vec<String> = fixture::byte_letters().into_iter().map(String::from).collect();
    tokens.extend(["he", "ll", "hell", "hello", "<|im_end|>", "<tool_call>"].map(String::from));
    let mut kinds = vec![1; tokens.len()];
    kinds[260] = 3;
    kinds[261] = 4;
    let mut writer = Writer::default();
    writer.string("general.architecture", "qwen3");
    writer.int("qwen3.context_length", 1024);
    writer.int("general.file_type", 7);
    writer.string("tokenizer.ggml.model", "gpt2");
    writer.string("tokenizer.ggml.pre", "qwen2");
    writer.strings("tokenizer.ggml.tokens", &tokens);
    writer.ints("tokenizer.ggml.token_type", &kinds);
    writer.strings("tokenizer.ggml.merges", &["h e", "l l", "he ll", "hell o"].map(String::from));
    writer.int("tokenizer.ggml.eos_token_id", 260);
    writer.string("tokenizer.chat_template", "{{ messages[0].content }}");
    writer
}

#[test]
fn a_byte_level_vocabulary_is_rebuilt_with_its_ids() {
    let metadata = read(&model().file()).unwrap();
    assert_eq!(metadata.context_length(), Some(1024));
    assert_eq!(metadata.quant(), "q8_0");
    assert_eq!(metadata.chat_template(), Some("{{ messages[0].content }}"));
    assert_eq!(metadata.specials().unwrap()["eos_token"], "<|im_end|>");
    let tokenizer = metadata.tokenizer().unwrap();
    assert_eq!(tokenizer.encode_text("hello<|im_end|><tool_call>").unwrap(), [259, 260, 261]);
    assert_eq!(tokenizer.eos(), [260]);
    assert!(tokenizer.piece(260).unwrap().special && !tokenizer.piece(261).unwrap().special);
    assert_eq!(tokenizer.decode(&[259]), "hello");
}

#[test]
fn broken_files_are_errors_and_never_large_allocations() {
    let whole = model().file();
    for length in [0, 3, 8, 20, 30, 100, whole.len() - 1] {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    let mut huge = b"GGUF\x03\0\0\0".to_vec();
    huge.extend(0u64.to_le_bytes());
    huge.extend(1u64.to_le_bytes());
    huge.extend((STRING_BYTES_MAX - 1).to_le_bytes());
    assert!(read(&huge).unwrap_err().to_string().contains("cut off"));
    huge.truncate(16);
    huge.extend(u64::MAX.to_le_bytes());
    assert!(read(&huge).unwrap_err().to_string().contains("at most"));
}

#[test]
fn an_unknown_splitting_asks_for_the_tokenizer_file() {
    let mut writer = model();
    writer.string("tokenizer.ggml.pre", "marsian");
    let error = read(&writer.file()).unwrap().tokenizer().unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
