//! Where a page leads yt-dlp to: it connects to nothing that the address policy does not permit,
//! whatever extractor is at work and whatever the page says.

use std::net::TcpListener;

use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{WAYS, command, path_of};

#[test]
fn a_page_that_leads_inwards_is_refused_where_it_would_be_connected_to() {
    // On the machine, but not what is allowed: as good as a neighbour in the network.
    let inner = TcpListener::bind("127.0.0.2:0").unwrap();
    inner.set_nonblocking(true).unwrap();
    let target = format!("http://{}/latest/meta-data/", inner.local_addr().unwrap());
    for way in WAYS {
        let origin = Origin::start();
        let away = Resource::bytes("away").fault(Fault::Redirect(target.clone()));
        let page_url = origin.put("page", away);
        let daemon = Daemon::start(&format!(
            "[upstream]\nallow = [\"127.0.0.1/32\"]\n[resolver]\ncommand = {:?}\n\
             extractors = [\"default\"]\n{way}",
            command()
        ));
        let answer = daemon.get(&path_of("info", &page_url, &[]));
        assert_eq!((answer.head.status, answer.code().as_str()), (403, "address-refused"), "{way}");
        assert!(!origin.requests().is_empty(), "{way}: it did not come as far");
        assert!(inner.accept().is_err(), "{way}: it went inwards");
        daemon.logs("127.0.0.2");
    }
}
