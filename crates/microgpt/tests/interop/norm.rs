//! Norms: `tests/interop/norm.py`.

use crate::golden::Golden;
use crate::on_each_engine;

#[test]
fn rmsnorm_is_pytorchs() {
    let golden = Golden::read("norm");
    for (engine, found) in on_each_engine(golden.get("x"), &[], golden.get("dy"), &|_, x, _| x.rmsnorm()) {
        golden.get("rmsnorm_y").hold(&found[0], engine);
        golden.get("rmsnorm_dx").hold(&found[1], engine);
    }
}
