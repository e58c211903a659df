//! Judging whole files: bytes in memory, and a file that is opened and mapped each time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secure_torch::Source;
use secure_torch_benches::inputs::Input;
use secure_torch_benches::subject::judge;

const INPUTS: [Input; 5] =
    [Input::Mixed2Tenth, Input::Mixed4Tenth, Input::Tensors, Input::Zip300, Input::Zip50000];

fn bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan-bytes");
    group.sample_size(20);
    for input in INPUTS {
        let source = Source::from_bytes("bytes.pt", input.bytes().expect("an input"));
        group.throughput(Throughput::Bytes(source.bytes().len() as u64));
        group.bench_function(input.name(), |bencher| bencher.iter(|| judge(&source)));
    }
    group.finish();
}

fn mapped(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan-file");
    group.sample_size(20);
    for input in INPUTS.into_iter().chain([Input::Sparse]) {
        let path = input.file().expect("an input that is made on demand");
        group.bench_function(input.name(), |bencher| {
            bencher.iter(|| judge(&Source::open(&path).expect("a regular file")));
        });
    }
    group.finish();
}

criterion_group!(benches, bytes, mapped);
criterion_main!(benches);
