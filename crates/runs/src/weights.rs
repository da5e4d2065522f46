//! Flat slices <-> safetensors: one tensor per matrix of the layout, in the precision of the run, so that what is
//! loaded is what was saved, to the last bit.

use crate::atomic::in_one_line;
use microgpt::layout::{Layout, Matrix};
use microgpt::{Error, real::Real};
use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;

/// A number that safetensors can hold.
pub trait Stored: Real {
    /// Its name in safetensors.
    const DTYPE: Dtype;
    /// Appends its bytes, the lowest first.
    fn write(self, bytes: &mut Vec<u8>);
    /// The number of these bytes, of which there are as many as it has.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! stored {
    ($($Type:ty = $dtype:ident),+) => {$(
        impl Stored for $Type {
            const DTYPE: Dtype = Dtype::$dtype;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                <$Type>::from_le_bytes(bytes.try_into().expect("as many bytes as a number has"))
            }
        }
    )+};
}
stored!(f64 = F64, f32 = F32);

/// A safetensors file of flat slices, the matrices of each named with its prefix: `""` for parameters, `"m."` for
/// Adam's means.
///
/// # Panics
/// If a slice is not as long as the layout.
pub fn encode<R: Stored>(layout: &Layout, slices: &[(&str, &[R])]) -> Vec<u8> {
    let tensors = slices.iter().flat_map(|&(prefix, slice)| {
        assert_eq!(slice.len(), layout.len(), "a slice as long as the layout");
        layout.matrices().iter().map(move |matrix| {
            let numbers = &slice[matrix.range()];
            (format!("{prefix}{}", matrix.name), Tensor { shape: shape(matrix), numbers })
        })
    });
    safetensors::serialize(tensors, None).expect("distinct names and a short header")
}

/// A matrix whose bytes are made when it is written, and not before: nothing is in memory twice.
struct Tensor<'a, R> {
    shape: Vec<usize>,
    numbers: &'a [R],
}

impl<R: Stored> View for Tensor<'_, R> {
    fn dtype(&self) -> Dtype {
        R::DTYPE
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        self.numbers.iter().for_each(|x| x.write(&mut bytes));
        bytes.into()
    }
    fn data_len(&self) -> usize {
        size_of_val(self.numbers)
    }
}

/// The flat slices of a safetensors file that [`encode`] wrote with these prefixes.
///
/// # Errors
/// What is no safetensors file, or not of this layout and precision: which tensor was expected, which found.
pub fn decode<R: Stored>(bytes: &[u8], layout: &Layout, prefixes: &[&str]) -> Result<Vec<Vec<R>>, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        Error::checkpoint(format!(
            "expected a whole safetensors file, found {} bytes: {}",
            bytes.len(),
            in_one_line(error)
        ))
    })?;
    // First of all: a layout that a damaged file of settings describes may be larger than any memory.
    let (expected, found) = (prefixes.len() * layout.len(), bytes.len() / size_of::<R>());
    if expected > found {
        return Err(Error::checkpoint(format!("expected {expected} numbers, found {found} at most")));
    }
    let mut slices = Vec::new();
    for prefix in prefixes {
        let mut slice = Vec::with_capacity(layout.len());
        for matrix in layout.matrices() {
            let name = format!("{prefix}{}", matrix.name);
            let wanted = format!("tensor {name} {:?} {}", shape(matrix), R::DTYPE);
            let tensor = file.tensor(&name).map_err(|_| {
                let mut names = file.names();
                names.sort_unstable();
                Error::checkpoint(format!(
                    "expected {wanted}, found no such tensor among {}",
                    in_one_line(some_of(&names))
                ))
            })?;
            if (tensor.dtype(), tensor.shape()) != (R::DTYPE, &shape(matrix)) {
                let (shape, dtype) = (tensor.shape(), tensor.dtype());
                return Err(Error::checkpoint(format!("expected {wanted}, found {shape:?} {dtype}")));
            }
            slice.extend(tensor.data().chunks_exact(size_of::<R>()).map(R::read));
        }
        slices.push(slice);
    }
    let expected = prefixes.len() * layout.matrices().len();
    if file.len() != expected {
        return Err(Error::checkpoint(format!("expected {expected} tensors, found {}", file.len())));
    }
    Ok(slices)
}

fn shape(matrix: &Matrix) -> Vec<usize> {
    vec![matrix.shape.rows, matrix.shape.cols]
}

/// The first few names of a list.
fn some_of(names: &[&str]) -> String {
    match names.len() {
        0 => "none".to_string(),
        n @ 1..=4 => format!("{n} ({})", names.join(", ")),
        n => format!("{n} ({}, ...)", names[..4].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microgpt::Config;

    fn config() -> Config {
        Config { n_embd: 2, n_head: 1, block_size: 3, ..Config::default() }
    }

    #[test]
    fn every_bit_comes_back() {
        let layout = Layout::new(&config(), 4);
        let a: Vec<f64> = (0..layout.len()).map(|i| (i as f64).sin() / 3.0).collect();
        let b: Vec<f64> = (0..layout.len()).map(|i| -f64::MIN_POSITIVE / (1 + i) as f64).collect();
        let bytes = encode(&layout, &[("m.", &a), ("v.", &b)]);
        let again = decode::<f64>(&bytes, &layout, &["m.", "v."]).unwrap();
        let bits = |slice: &[f64]| slice.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&again[0]), bits(&again[1])), (bits(&a), bits(&b)));
        let c: Vec<f32> = a.iter().map(|&x| x as f32).collect();
        assert_eq!(decode::<f32>(&encode(&layout, &[("", &c)]), &layout, &[""]).unwrap(), [c]);
    }

    #[test]
    fn the_precision_of_the_run_is_that_of_the_file() {
        let layout = Layout::new(&config(), 4);
        let single: Vec<f32> = (0..layout.len()).map(|i| (i as f32).cos() * 1e-38).collect();
        let bytes = encode(&layout, &[("", &single)]);
        assert_eq!(decode::<f32>(&bytes, &layout, &[""]).unwrap(), [single]);
        let error = decode::<f64>(&bytes, &layout, &[""]).unwrap_err().to_string();
        assert!(error.starts_with("expected "), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let layout = Layout::new(&config(), 4);
        let bytes = encode(&layout, &[("", &vec![0.5; layout.len()])]);
        let error = |bytes: &[u8], config: Config, v: usize| {
            decode::<f64>(bytes, &Layout::new(&config, v), &[""]).unwrap_err().to_string()
        };
        assert_eq!(error(&bytes, config(), 3), "expected tensor wte [3, 2] F64, found [4, 2] F64");
        let deeper = error(&bytes, Config { n_layer: 2, n_embd: 2, n_head: 1, block_size: 3, ..config() }, 4);
        assert!(deeper.starts_with("expected "), "{deeper}");
        let m = decode::<f64>(&bytes, &layout, &["m."]).unwrap_err().to_string();
        assert!(
            m.starts_with("expected tensor m.wte [4, 2] F64, found no such tensor among 9 (layer0."),
            "{m}"
        );
        assert!(
            error(&bytes[..bytes.len() - 1], config(), 4).starts_with("expected a whole safetensors file")
        );
        assert!(error(b"", config(), 4).contains("found 0 bytes"));
    }
}
