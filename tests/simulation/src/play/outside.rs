//! What happens around a host: deployments, alerts, outages, clocks, restarts.

use std::time::Duration;

use ripcord_core::digest::Digest;
use ripcord_core::event::Event;
use ripcord_core::journal::Record;
use ripcord_core::name::{ServiceName, SignalId, SourceName};
use ripcord_core::signal::{Origin, Severity, Signal, SignalKind, SignalStatus};
use ripcord_core::time::Millis;
use ripcord_ports::Clock;
use ripcord_ports::store::{Append, NewSignal};

use super::Play;
use crate::policies::POISON;

impl Play {
    fn any_service(&self) -> ServiceName {
        let names: Vec<_> = self.scenario.services.iter().map(|plan| plan.name.clone()).collect();
        self.stage.dice.pick(&names)
    }

    pub(super) async fn something_happens(&mut self) {
        let service = self.any_service();
        let dice = self.stage.dice.clone();
        match dice.below(100) {
            0..=24 => self.alerts(&service),
            25..=34 => self.deploys(&service),
            35..=64 => self.someone_acts(&service),
            65..=69 => self.redeploys(&service),
            70..=79 => self.outage(),
            80..=81 if self.may("clocks") => self.set_clock(),
            82..=84 => self.restart().await,
            85..=86 if self.may("deaths") => {
                if let Some(host) = &self.host {
                    host.life.end();
                }
            }
            87 if self.may("strangers") => self.intrude(&service),
            88 => self.storm(&service),
            89..=95 => self.moves_a_facet(&service),
            96..=98 => self.someone_moves_the_set(),
            _ => {}
        }
    }

    /// A new version comes, and it is not always a good one.
    pub(super) fn deploys(&mut self, service: &ServiceName) {
        self.versions += 1;
        let (name, dice) = (self.versions.to_string(), self.stage.dice.clone());
        let bad = !dice.one_in(3);
        self.says(|| {
            format!("{service}: version {name} is deployed, {}", if bad { "a bad one" } else { "a good one" })
        });
        self.stage.world.at(service, |outside| {
            outside.versions.push(name.clone());
            if bad {
                outside.bad.insert(name.clone());
            }
            if !dice.one_in(4) {
                outside.in_production = Some(name.clone());
            }
            // Whoever deploys believes it to be well.
            if dice.one_in(2) {
                outside.leave_safe_mode();
            }
        });
        if dice.one_in(4) {
            let delay = Duration::from_millis(dice.between(100, 5_000));
            let replicas = if dice.one_in(3) { 1 } else { usize::MAX };
            self.stage.world.start_move(service, &name, delay, replicas);
        } else {
            self.stage.world.at(service, |outside| outside.put_everywhere(&name));
        }
        if dice.one_in(3) {
            let signal = self.signal(service, "version-deployed", SignalStatus::Firing, Severity::Info);
            self.send(vec![signal]);
        }
        if bad && !dice.one_in(4) {
            self.alerts(service);
        }
    }

    /// Somebody puts an old version back, or moves the production name: perhaps what was condemned.
    fn redeploys(&mut self, service: &ServiceName) {
        let dice = self.stage.dice.clone();
        let name = self.stage.world.at(service, |outside| {
            let name = dice.pick(&outside.versions);
            if dice.one_in(2) {
                outside.in_production = Some(name.clone());
            }
            if dice.one_in(2) {
                outside.put_everywhere(&name);
            }
            name
        });
        self.says(|| format!("{service}: somebody goes to version {name}"));
    }

    /// A new signal.
    pub(super) fn signal(
        &mut self,
        service: &ServiceName,
        rule: &str,
        status: SignalStatus,
        severity: Severity,
    ) -> NewSignal {
        self.sent += 1;
        let dice = &self.stage.dice;
        let (now, sent_at) = (self.stage.clock.now(), self.stage.clock.elsewhere());
        let signal = Signal {
            id: SignalId::new(format!("s-{}", self.sent)).expect("an id"),
            origin: Origin::Webhook("alerts".to_owned()),
            rule: rule.to_owned(),
            status,
            kind: SignalKind::Condition,
            severity,
            labels: Vec::new(),
            annotations: Vec::new(),
            // In any order, by the sender's clock.
            started_at: sent_at - Millis(dice.below(120_000)),
            ended_at: (status == SignalStatus::Resolved).then_some(sent_at),
            received_at: now,
        };
        // One in three is a repeat of one that came before.
        let alert = if dice.one_in(3) { self.sent / 4 } else { self.sent };
        // One in fifty has no route.
        let routed = (!dice.one_in(50)).then(|| service.clone());
        let key = Digest::of(format!("{routed:?} {rule} {status:?} {alert}"));
        NewSignal {
            source: Some(SourceName::new("alerts").expect("a name")),
            service: routed,
            dedupe_key: key,
            dedupe_window: Millis::seconds(dice.between(1, 300)),
            turn: None,
            signal,
        }
    }

    pub(super) fn alerts(&mut self, service: &ServiceName) {
        let dice = self.stage.dice.clone();
        let mut signals = Vec::new();
        for _ in 0..dice.between(1, 4) {
            let status = if dice.one_in(4) { SignalStatus::Resolved } else { SignalStatus::Firing };
            let rule = if dice.one_in(60) && self.may("poison") { POISON } else { "harm" };
            signals.push(self.signal(service, rule, status, Severity::Critical));
        }
        self.send(signals);
    }

    fn storm(&mut self, service: &ServiceName) {
        let dice = self.stage.dice.clone();
        self.says(|| format!("{service}: a storm of alerts"));
        for _ in 0..dice.between(5, 30) {
            let signals = (0..dice.between(1, 6))
                .map(|_| self.signal(service, "harm", SignalStatus::Firing, Severity::Critical))
                .collect();
            self.send(signals);
        }
    }

    /// Senders send until they are answered.
    pub(super) fn send(&mut self, signals: Vec<NewSignal>) {
        let mut unsent = self.unsent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unsent.extend(signals.iter().map(|new| (new.signal.id.clone(), new.clone())));
        drop(unsent);
        self.try_to_send(signals);
    }

    /// A new host hears of everything that was not acknowledged.
    pub(super) fn send_again(&mut self) {
        let unsent = self.unsent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all: Vec<NewSignal> = unsent.values().cloned().collect();
        drop(unsent);
        if !all.is_empty() {
            self.try_to_send(all);
        }
    }

    fn try_to_send(&mut self, signals: Vec<NewSignal>) {
        let Some(host) = &mut self.host else { return };
        let (engine, checker, unsent) =
            (host.engine.clone(), self.stage.checker.clone(), self.unsent.clone());
        host.callers.spawn(async move {
            let mut pause = Duration::from_millis(500);
            while engine
                .take_signals(signals.clone())
                .await
                .map(|accepted| {
                    for (new, one) in signals.iter().zip(accepted) {
                        checker.acknowledged(new.service.as_ref(), &[one]);
                        let mut unsent = unsent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        unsent.remove(&new.signal.id);
                    }
                })
                .is_err()
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        });
    }

    /// A system goes away for a while, or comes back.
    fn outage(&mut self) {
        let dice = self.stage.dice.clone();
        let full = self.may("full-disks");
        let unreadable = self.may("failed-reads");
        self.stage.weather.change(|sky| match dice.below(8) {
            0 => sky.registry_away = !sky.registry_away,
            1 => sky.deployer_away = !sky.deployer_away,
            2 => sky.no_metrics = !sky.no_metrics,
            3 => sky.line_broken = !sky.line_broken,
            4 => sky.restorers_away = !sky.restorers_away,
            5 => sky.producers_away = !sky.producers_away,
            6 => sky.disk_unreadable = unreadable && !sky.disk_unreadable,
            _ => sky.disk_full = full && !sky.disk_full,
        });
        self.says(|| {
            let sky = self.stage.weather.now();
            format!(
                "away: registry {}, deployer {}, restorers {}, metrics {}, people {}, disk full {}, unreadable {}",
                sky.registry_away,
                sky.deployer_away,
                sky.restorers_away,
                sky.no_metrics,
                sky.line_broken,
                sky.disk_full,
                sky.disk_unreadable
            )
        });
    }

    /// Another writer appends to the journal.
    fn intrude(&self, service: &ServiceName) {
        let (Some(state), Some(last)) =
            (self.stage.checker.state(service), self.stage.disk.journal(service, 0, u32::MAX).pop())
        else {
            return;
        };
        if let Ok(record) = Record::write(service, last.tip(), state.at, &Event::Woke) {
            let append = Append { records: vec![record], ..Append::default() };
            drop(self.stage.disk.append(&append));
        }
    }
}
