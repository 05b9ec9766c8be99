//! Pulls while others write.

use super::*;

/// Changes a tree at random until told to stop.
fn disturb(dav: &Dav, seed: u64, stop: &AtomicBool) {
    let mut random = Noise::new(seed, 0);
    let mut pick = |most: u64| random.number() % most;
    while !stop.load(Ordering::Relaxed) {
        let folder = format!("/dav/documents/d{}/", pick(4));
        let file = format!("{folder}f{}", pick(6));
        let answer = match pick(8) {
            0 => dav.mkcol(&folder),
            1 => dav.delete(&file),
            2 => dav.rename(&folder, &format!("/dav/documents/d{}/", pick(4))),
            3 => dav.copy(&folder, &format!("/dav/photos/d{}/", pick(3))),
            4 => dav.delete(&format!("/dav/photos/d{}/", pick(3))),
            _ => dav.put(&file, &noise(pick(1000), 1 + 500 * file.len())),
        };
        assert!(answer.status < 500, "{answer}");
    }
}

#[test]
fn pages_of_any_size_lead_to_the_same_tree_while_somebody_else_writes() {
    let server = TestServer::start();
    let dav = server.admin();
    let stop = AtomicBool::new(false);
    let devices = thread::scope(|scope| {
        for seed in [1, 2] {
            let (dav, stop) = (dav.again(), &stop);
            scope.spawn(move || disturb(&dav, seed, stop));
        }
        let pulling: Vec<_> = [1, 2, 3, 7, 1000]
            .into_iter()
            .map(|page| {
                let mut device = Device::admin(&server, "laptop").with_page(page);
                scope.spawn(move || {
                    for _ in 0..if crate::long() { 200 } else { 12 } {
                        // Without the bytes, which may change as fast as they are fetched.
                        device.pull_nodes();
                    }
                    device
                })
            })
            .collect();
        let devices = pulling.into_iter().map(thread::ScopedJoinHandle::join);
        let devices: Vec<_> = devices.collect();
        stop.store(true, Ordering::Relaxed);
        devices
    });
    for device in devices {
        let mut device = device.expect("a device");
        device.pull();
        assert_in_step(&device, &dav);
        for node in device.mirror().files() {
            let now = device
                .api()
                .info(&device.mirror().path(node).expect("a path"));
            assert_eq!(api::id(&now), node.id);
        }
    }
}

#[test]
fn what_another_account_does_is_heard_in_the_shared_space_only() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, None);
    let mut device = Device::admin(&server, "laptop");
    device.pull();

    bob.put("/dav/documents/diary", b"x").expect(&[201]);
    assert_eq!(told(&device.pull()), [""; 0]);
    bob.put("/dav/shared/plan", b"sea").expect(&[201]);

    let change = only(device.pull());
    let node = change.node.expect("it is there");
    assert_eq!((&*node.path, change.space), ("/shared/plan", node.space));
    let own = device.mirror().at("/documents").expect("a folder").space;
    assert_ne!(node.space, own);
    // Both have a root of their own, told with its path.
    for (space, path) in [(own, "/"), (node.space, "/shared")] {
        let mut nodes = device.mirror().nodes();
        let root = nodes.find(|node| node.space == space && node.parent.is_none());
        assert_eq!(root.map(|root| &*root.path), Some(path));
    }
    assert_in_step(&device, &server.admin());
}
