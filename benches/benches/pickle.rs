//! Decoding and auditing pickles: opcodes only, memory that grows, memory that is there.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use secure_torch_benches::inputs::Input;
use secure_torch_benches::subject::{Slots, audit_fixed, audit_growing, decode_all};

const INPUTS: [Input; 3] = [Input::Mixed2Tenth, Input::Mixed4Tenth, Input::Tensors];

fn decode(criterion: &mut Criterion) {
    each(criterion, "decode", |group, name, bytes| {
        group.bench_function(name, |bencher| bencher.iter(|| decode_all(bytes)));
    });
}

fn audit(criterion: &mut Criterion) {
    each(criterion, "audit", |group, name, bytes| {
        group.bench_function(name, |bencher| bencher.iter(|| audit_growing(bytes)));
    });
}

fn audit_in_place(criterion: &mut Criterion) {
    each(criterion, "audit-fixed", |group, name, bytes| {
        let mut slots = Slots::for_length(bytes.len());
        group.bench_function(name, |bencher| bencher.iter(|| audit_fixed(bytes, &mut slots)));
    });
}

fn each(
    criterion: &mut Criterion,
    group: &str,
    bench: impl Fn(&mut BenchmarkGroup<'_, WallTime>, &str, &[u8]),
) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(20);
    for input in INPUTS {
        let bytes = input.bytes().expect("an input that is made on demand");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        bench(&mut group, input.name(), &bytes);
    }
    group.finish();
}

criterion_group!(benches, decode, audit, audit_in_place);
criterion_main!(benches);
