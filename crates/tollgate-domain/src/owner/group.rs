//! Groups. Owns: how links change when an event tells more of a group, and which objects go along
//! when a group moves. Must not know: which of several bases an event brings.

use std::collections::{BTreeMap, BTreeSet};

use super::{Basis, Directory, Link, LinkChanges, Regrouping};
use crate::ids::{AccountId, ObjectId};

/// A group as it is after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What stands for it.
    pub root: ObjectId,
    /// Its account.
    pub account: AccountId,
    /// Why.
    pub basis: Basis,
}

impl Group {
    /// Makes objects part of the group. Groups they were part of until now become part of it as a
    /// whole.
    pub(super) fn take_in(
        &self,
        members: &[&ObjectId],
        known: &impl Directory,
        changes: &mut LinkChanges,
    ) {
        for object in members {
            match known.link(object) {
                None => changes.links.push(self.link(object)),
                Some(link) => self.regroup(link, false, changes),
            }
        }
        // What stands for the group may not be named by the event.
        if !members.contains(&&self.root)
            && let Some(link) = members
                .iter()
                .find_map(|object| known.link(object).filter(|link| link.root == self.root))
            && link.basis != self.basis
        {
            changes.links.push(self.link(&self.root));
        }
    }

    /// Makes a customer stand for the group that follows it.
    pub(super) fn stand_for(
        &self,
        payer: &ObjectId,
        known: &impl Directory,
        changes: &mut LinkChanges,
    ) {
        match known.link(payer) {
            None => changes.links.push(self.link(payer)),
            Some(link) => self.regroup(link, true, changes),
        }
    }

    fn link(&self, object: &ObjectId) -> Link {
        Link {
            object: object.clone(),
            account: self.account.clone(),
            root: self.root.clone(),
            basis: self.basis.clone(),
            gone_at: None,
        }
    }

    fn regroup(&self, link: &Link, is_payer: bool, changes: &mut LinkChanges) {
        if link.object == self.root && (link.basis != self.basis || link.account != self.account) {
            changes.links.push(self.link(&link.object));
        }
        let moves = link.account != self.account;
        let told = changes.regroupings.iter().any(|other| other.root == link.root);
        if (moves || link.root != self.root) && !told {
            changes.regroupings.push(Regrouping {
                root: link.root.clone(),
                from: link.account.clone(),
                into: self.root.clone(),
                to: self.account.clone(),
                is_payer,
            });
        }
    }
}

/// Links at hand, kept up to date while events change them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    by_object: BTreeMap<ObjectId, Link>,
    /// The objects of each group, by what stands for it.
    groups: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

impl Directory for Links {
    fn link(&self, object: &ObjectId) -> Option<&Link> {
        self.by_object.get(object)
    }
}

impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        let mut all = Self::default();
        for link in links {
            all.insert(link);
        }
        all
    }
}

impl Links {
    /// All of them, by object.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.by_object.values()
    }

    fn insert(&mut self, link: Link) {
        let before = self.by_object.get(&link.object).map(|known| &known.root);
        if let Some(left) = before.filter(|root| **root != link.root)
            && let Some(group) = self.groups.get_mut(left)
        {
            group.remove(&link.object);
            if group.is_empty() {
                self.groups.remove(left);
            }
        }
        self.groups.entry(link.root.clone()).or_default().insert(link.object.clone());
        self.by_object.insert(link.object.clone(), link);
    }

    /// The account of each object: what has to be the same in every order. What stands for a group
    /// and which of several claims is its reason may differ.
    pub fn accounts(&self) -> BTreeMap<&ObjectId, &AccountId> {
        self.by_object.values().map(|link| (&link.object, &link.account)).collect()
    }

    /// Takes in what an event changed.
    pub fn apply(&mut self, changes: &LinkChanges) {
        for regrouping in &changes.regroupings {
            self.regroup(regrouping);
        }
        for link in &changes.links {
            let gone_at = self.by_object.get(&link.object).and_then(|known| known.gone_at);
            self.insert(Link { gone_at, ..link.clone() });
        }
        for changed in changes.links.iter().filter(|link| link.object == link.root) {
            for object in self.groups.get(&changed.root).into_iter().flatten() {
                let Some(link) = self.by_object.get_mut(object) else { continue };
                link.account = changed.account.clone();
                link.basis = changed.basis.clone();
            }
        }
        if let Some((customer, at)) = &changes.gone
            && let Some(link) = self.by_object.get_mut(customer)
        {
            link.gone_at = link.gone_at.into_iter().chain([*at]).min();
        }
    }

    fn regroup(&mut self, regrouping: &Regrouping) {
        let basis = self.by_object.get(&regrouping.into).map(|link| link.basis.clone());
        for object in self.along(regrouping) {
            let Some(mut link) = self.by_object.get(&object).cloned() else { continue };
            link.account = regrouping.to.clone();
            if link.root == regrouping.root {
                link.root = regrouping.into.clone();
                if let Some(basis) = &basis {
                    link.basis = basis.clone();
                }
            }
            self.insert(link);
        }
    }

    /// What goes from one account to another by these changes, each object once.
    pub fn moves<'c>(&self, changes: &'c LinkChanges) -> Vec<(&'c Regrouping, BTreeSet<ObjectId>)> {
        let mut gone: BTreeSet<ObjectId> = BTreeSet::new();
        let mut moves = Vec::new();
        for regrouping in changes.regroupings.iter().filter(|one| one.is_move()) {
            let mut along = self.along(regrouping);
            along.retain(|object| !gone.contains(object));
            gone.extend(along.iter().cloned());
            if !along.is_empty() {
                moves.push((regrouping, along));
            }
        }
        moves
    }

    /// The objects that go along with a group: its own and, where a customer stands for it, those
    /// of the groups that follow it.
    fn along(&self, regrouping: &Regrouping) -> BTreeSet<ObjectId> {
        let mut roots = BTreeSet::from([regrouping.root.clone()]);
        let mut before = 0;
        while regrouping.is_payer && roots.len() > before {
            before = roots.len();
            let follows = |link: &&Link| {
                link.object == link.root
                    && matches!(&link.basis, Basis::Followed(payer) if roots.contains(payer))
            };
            let more: Vec<ObjectId> =
                self.by_object.values().filter(follows).map(|link| link.root.clone()).collect();
            roots.extend(more);
        }
        roots.iter().filter_map(|root| self.groups.get(root)).flatten().cloned().collect()
    }
}
