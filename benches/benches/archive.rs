//! Auditing ZIP directories of 300 and of 50,000 entries: every header against its neighbours.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secure_torch::core::format::zip::Archive;
use secure_torch_benches::inputs::Input;

fn audit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("archive");
    group.sample_size(20);
    for input in [Input::Zip300, Input::Zip50000] {
        let bytes = input.bytes().expect("an input that is made on demand");
        let archive = Archive::open(&bytes).expect("an archive of our own");
        group.throughput(Throughput::Elements(archive.entries().count() as u64));
        group.bench_function(input.name(), |bencher| {
            bencher.iter(|| {
                let archive = Archive::open(&bytes).expect("an archive of our own");
                let mut anomalies = 0;
                archive.audit_alloc(&mut |_| anomalies += 1);
                assert_eq!(anomalies, 0);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, audit);
criterion_main!(benches);
