//! Which secrets apply to a webhook: those that it names, else of each class the one whose place is
//! the narrowest. Nothing here waits.
//!
//! Signing secrets of equally narrow places sign side by side, which is how a receiver moves from
//! `v1` to `v1a`; credentials never meet at one place (see `Vault::create`). A credential that is
//! stored for a host goes over `https` alone, since a URL with the other scheme would show it to
//! everyone on the way; whoever wants that says `http://` in the place, or names the secret.

use std::sync::Arc;

use super::content::{Class, Content};
use super::entry::{Entry, Shelf};
use super::{Fault, Vault};
use crate::config::Secret;
use crate::model::{Header, Scheme, Target, Timestamp};

/// The secrets that apply to one webhook.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Sign it, in this order; empty leaves it to the settings of the host.
    pub signing: Vec<Secret>,
    /// Each becomes a header.
    pub credentials: Vec<Arc<Entry>>,
    /// Shown to the receiver.
    pub certificate: Option<Arc<Entry>>,
    /// Trusted beside the roots.
    pub authorities: Vec<Arc<Entry>>,
}

impl Vault {
    /// The secrets that apply to a webhook to `target` that names `refs`; the error is the name of
    /// one that is gone.
    pub fn choose(
        &self,
        workspace: u32,
        refs: &[String],
        target: &Target,
        now: Timestamp,
    ) -> Result<Chosen, String> {
        let shelves = self.shelves.load();
        let shelf = shelves.get(&workspace);
        let mut chosen = Chosen::default();
        for name in refs {
            match (shelf.and_then(|shelf| shelf.get(name)), self.configured.get(name)) {
                (Some(entry), _) => chosen.add(entry, now),
                (None, Some(secrets)) => chosen.signing.extend_from_slice(secrets),
                (None, None) => return Err(name.clone()),
            }
        }
        if let Some(shelf) = shelf {
            chosen.add_placed(shelf, target, now);
        }
        Ok(chosen)
    }

    /// Refuses a webhook that names a secret that is not there, two that cannot go together, or
    /// that gives a header itself which a credential sets.
    pub fn vet(
        &self,
        workspace: u32,
        refs: &[String],
        (target, headers): (&Target, &[Header]),
    ) -> Result<(), Fault> {
        let chosen = self.choose(workspace, refs, target, self.now()).map_err(|name| {
            let detail = match name.starts_with("wh") {
                // Whoever confuses name and secret writes the secret here.
                true => "names no secret of the configuration ([secrets]) and no stored one".into(),
                false => format!(
                    "names no secret of the configuration ([secrets]) and no stored one: {name:?}"
                ),
            };
            Fault::new("/secret_ref", detail)
        })?;
        let certificates = refs.iter().filter_map(|name| self.entry(workspace, name));
        let certificates =
            certificates.filter(|entry| entry.content.kind().class() == Class::Certificate);
        if certificates.count() > 1 {
            return Err(Fault::new("/secret_ref", "names two client certificates; give one"));
        }
        for (at, entry) in chosen.credentials.iter().enumerate() {
            let Some(name) = entry.content.header() else { continue };
            let earlier = &chosen.credentials[..at];
            if let Some(other) = earlier.iter().find(|other| other.content.header() == Some(name)) {
                let detail = format!(
                    "`{}` and `{}` both set the header `{name}`; name one of them",
                    other.name, entry.name
                );
                return Err(Fault::new("/secret_ref", detail));
            }
            if headers.iter().any(|header| header.name == name) {
                let detail = format!(
                    "the stored secret `{}` sets the header `{name}` as well; leave one of the \
                     two out",
                    entry.name
                );
                return Err(Fault::new(format!("/headers/{name}"), detail));
            }
        }
        Ok(())
    }
}

impl Chosen {
    fn add(&mut self, entry: Arc<Entry>, now: Timestamp) {
        match (&entry.content, entry.content.kind().class()) {
            (Content::Signing(signing), _) => {
                self.signing.push(signing.secret.clone());
                let old = signing.old.as_ref().filter(|old| old.until > now);
                self.signing.extend(old.map(|old| old.secret.clone()));
            }
            (_, Class::Certificate) => self.certificate = Some(entry),
            (_, Class::Authority) => self.authorities.push(entry),
            (_, Class::Credential | Class::Signing) => self.credentials.push(entry),
        }
    }

    /// Adds what applies by itself, of the classes that nothing was named of.
    fn add_placed(&mut self, shelf: &Shelf, target: &Target, now: Timestamp) {
        let wants = |class| match class {
            Class::Signing => self.signing.is_empty(),
            Class::Credential => self.credentials.is_empty(),
            Class::Certificate => self.certificate.is_none(),
            Class::Authority => true,
        };
        let fitting = shelf.placed().iter().filter_map(|entry| {
            let class = entry.content.kind().class();
            let plain = class == Class::Credential && target.scheme() == Scheme::Http;
            let places = entry.places.iter().filter(|place| !plain || place.scheme().is_some());
            let narrow = places.filter_map(|place| place.fits(target)).max()?;
            wants(class).then(|| (class, narrow, entry.clone()))
        });
        let fitting: Vec<_> = fitting.collect();
        for (class, narrow, entry) in &fitting {
            let same = fitting.iter().filter(|(other, ..)| other == class);
            let narrowest = same.map(|(_, narrow, _)| *narrow).max();
            if *class != Class::Authority && Some(*narrow) != narrowest {
                continue;
            }
            if self.authorities.iter().any(|known| known.name == entry.name) {
                continue;
            }
            self.add(entry.clone(), now);
        }
    }
}
