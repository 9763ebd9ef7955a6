//! A `tokenizer.json`, a text to encode, a stop string, and bytes as tokens to decode.

use vapo_lm::{StopStrings, TextStream, Tokenizer};

use super::{parts, text};

pub(crate) fn tokenizer(data: &[u8]) {
    let [json, plain, stop, bytes] = parts(data);
    let Ok(tokenizer) = Tokenizer::from_json(json) else { return };
    let plain = text(plain);
    let encoded = tokenizer.encode(&plain).ok();
    assert_eq!(tokenizer.encode(&plain).ok(), encoded, "the same text has the same tokens");
    let stop = StopStrings::new(&tokenizer, &[text(stop)]);
    for tokens in [encoded.unwrap_or_default(), bytes.iter().map(|byte| u32::from(*byte)).collect()] {
        let _ = tokenizer.decode(&tokens);
        let _ = tokenizer.decode_response(&tokens, stop.as_ref());
        let mut stream = TextStream::new(&tokenizer);
        for token in tokens {
            let _ = stream.push(token);
            tokenizer.token_text(token);
        }
        let _ = stream.finish();
    }
}
