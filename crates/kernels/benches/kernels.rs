//! Every kernel against its definition, the machine's peak and (for products) the `gemm` crate.
//!
//! `cargo bench -p microgpt-kernels [-- FILTER]`. Contenders take turns in short rounds; what is printed is the
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
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let peak = race::peak();
    println!(
        "level {}, peak {peak:.0} GFLOP/s (multiply-adds of independent registers)",
        microgpt_kernels::level::current().name()
    );
    if "others".contains(&filter) {
        others::run(peak);
    }
    if "products".contains(&filter) {
        products::run(peak);
    }
}
