//! Every kernel against its definition, the machine's peak and (for products) the `gemm` crate.
//!
//! `cargo bench -p microgpt-kernels [-- others | products [SHAPE...]]`, a shape as `192x128x512` or the beginning of one:
//! `192x`. Contenders take turns in short rounds; what is printed is the
//! fastest round, and the median over rounds of their ratio, which a busy machine disturbs least.
#![expect(clippy::print_stdout, reason = "the table is the purpose")]
#![expect(unsafe_code, reason = "peak by instructions; the rival takes pointers")]

#[path = "kernels/others.rs"]
mod others;
#[path = "kernels/products.rs"]
mod products;
#[path = "kernels/race.rs"]
mod race;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (filter, shapes) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
    let peak = race::peak();
    println!(
        "level {}, peak {peak:.0} GFLOP/s (multiply-adds of independent registers)",
        microgpt_kernels::level::current().name()
    );
    if "others".contains(&filter) {
        others::run(peak);
    }
    if "products".contains(&filter) {
        products::run(peak, &shapes);
    }
}
