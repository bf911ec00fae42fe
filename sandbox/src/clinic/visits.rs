//! Visits past and to come: encounters, appointments, schedules and their slots.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::PATIENTS;
use super::build::{Build, Named, SNOMED, TERMINOLOGY, at, coding, concept, day, hl7, quantity};
use super::codes::{ACUTE, Problem};
use super::people::Patient;
use super::staff::{Staff, TEAMS};

/// Slots of a schedule: twelve half hours on each of five days.
const SLOTS: usize = 60;
/// The next working days.
const DAYS: [i64; 5] = [1, 2, 3, 4, 7];

/// An encounter that a chart refers to.
pub(crate) struct Visit {
    pub(crate) encounter: Value,
    pub(crate) day: i64,
    pub(crate) problem: &'static Problem,
}

/// The encounters of a patient, the latest last; each seventh patient is in the house today.
pub(crate) fn visit(build: &mut Build, staff: &Staff, patient: &Patient) -> Vec<Visit> {
    let count = build.rng.between(2, 3);
    (1..=count)
        .map(|number| {
            let latest = number == count;
            let here = latest && patient.number.is_multiple_of(7);
            let back = if here {
                0
            } else {
                -(build.rng.between(20, 150) + (count - number) * 160)
            };
            one(build, staff, patient, number, back, here)
        })
        .collect()
}

fn one(
    build: &mut Build,
    staff: &Staff,
    patient: &Patient,
    number: i64,
    back: i64,
    here: bool,
) -> Visit {
    let urgent = build.rng.chance(20);
    let problem = build.rng.pick(ACUTE);
    let hour = build.rng.between(8, 15);
    let (class, class_name, kind, kind_name, room) = if urgent {
        (
            "EMER",
            "emergency",
            "50849002",
            "Emergency room admission",
            &staff.emergency,
        )
    } else {
        (
            "AMB",
            "ambulatory",
            "185345009",
            "Encounter for symptom",
            &staff.rooms[patient.team],
        )
    };
    let mut period = json!({"start": at(back, hour, 0)});
    if !here {
        period["end"] = at(back, hour, 40).into();
    }
    let id = format!("enc-{}-{number}", patient.tag);
    let mut encounter = json!({
        "resourceType": "Encounter",
        "id": id,
        "text": patient.narrative(problem.name),
        "identifier": [{"system": "https://clinic.example/visit", "value": format!("V{}{number}", patient.tag)}],
        "status": if here { "in-progress" } else { "finished" },
        "class": coding(&format!("{TERMINOLOGY}/v3-ActCode"), class, class_name),
        "type": [concept(SNOMED, kind, kind_name)],
        "subject": patient.named.refer(),
        "participant": [
            {"type": [hl7("v3-ParticipationType", "ATND", "attender")], "individual": patient.physician.refer()},
            {"type": [hl7("v3-ParticipationType", "SPRF", "secondary performer")], "individual": patient.nurse.refer()},
        ],
        "period": period,
        "reasonCode": [concept(SNOMED, problem.snomed, problem.name)],
        "location": [{"location": room.refer()}],
        "serviceProvider": staff.clinic.refer(),
    });
    if !here {
        encounter["length"] = quantity(40.into(), "min", "min");
    }
    build.put(encounter, back);
    Visit {
        encounter: json!({"reference": format!("Encounter/{id}")}),
        day: back,
        problem,
    }
}

/// Appointments: one to come, for most, and one that was kept, for half.
pub(crate) fn book(build: &mut Build, staff: &Staff, patient: &Patient, problems: &[Named]) {
    if let Some((schedule, slot)) = slot_of(patient.number) {
        let (start, end) = slot_times(slot);
        let mut appointment = appointment(staff, patient, "1", "booked", (&start, &end), problems);
        appointment["slot"] = json!([{"reference": format!("Slot/{}", slot_id(schedule, slot))}]);
        build.put(appointment, -booked_ago(patient.number));
    } else {
        let (start, end) = (at(9, 10, 0), at(9, 10, 30));
        let mut appointment =
            appointment(staff, patient, "1", "cancelled", (&start, &end), problems);
        appointment["cancelationReason"] = hl7("appointment-cancellation-reason", "pat", "Patient");
        build.put(appointment, -booked_ago(patient.number));
    }
    if build.rng.chance(50) {
        let back = -build.rng.between(20, 150);
        let (start, end) = (at(back, 10, 0), at(back, 10, 30));
        build.put(
            appointment(staff, patient, "2", "fulfilled", (&start, &end), problems),
            back,
        );
    }
}

/// How long ago an appointment was made.
fn booked_ago(number: usize) -> i64 {
    i64::try_from(number % 30).unwrap_or(0) + 1
}

fn appointment(
    staff: &Staff,
    patient: &Patient,
    number: &str,
    status: &str,
    (start, end): (&str, &str),
    problems: &[Named],
) -> Value {
    let mut appointment = json!({
        "resourceType": "Appointment",
        "id": format!("appt-{}-{number}", patient.tag),
        "text": patient.narrative(problems.first().map_or("Follow-up", |problem| &problem.display)),
        "status": status,
        "serviceType": [concept(SNOMED, "390906007", "Follow-up encounter")],
        "appointmentType": hl7("v2-0276", "FOLLOWUP", "A follow up visit from a previous appointment"),
        "description": "Office visit",
        "start": start,
        "end": end,
        "minutesDuration": 30,
        "created": day(-booked_ago(patient.number)),
        "participant": [
            participant(&patient.named), participant(&patient.physician), participant(&staff.rooms[patient.team]),
        ],
    });
    if let Some(problem) = problems.first() {
        appointment["reasonCode"] = json!([{"text": problem.display}]);
        appointment["reasonReference"] = json!([problem.refer()]);
    }
    appointment
}

/// Somebody who said that he comes.
pub(crate) fn participant(who: &Named) -> Value {
    json!({"actor": who.refer(), "required": "required", "status": "accepted"})
}

/// Schedules of the physicians and of the psychiatrist, with all their slots.
pub(crate) fn open_slots(build: &mut Build, staff: &Staff) {
    let booked: HashSet<(usize, usize)> = (1..=PATIENTS).filter_map(slot_of).collect();
    let keepers = staff
        .physicians
        .iter()
        .chain(staff.therapists.first())
        .enumerate();
    for (schedule, keeper) in keepers {
        let id = format!("sched-{:03}", schedule + 1);
        let room = staff.rooms.get(schedule).unwrap_or(&staff.behavioural);
        let specialty = if schedule < TEAMS {
            concept(SNOMED, "394802001", "General medicine")
        } else {
            concept(SNOMED, "394587001", "Psychiatry")
        };
        let horizon = json!({"start": at(1, 9, 0), "end": at(7, 15, 0)});
        build.put(
            json!({
                "resourceType": "Schedule",
                "id": id,
                "active": true,
                "serviceType": [concept(SNOMED, "390906007", "Follow-up encounter")],
                "specialty": [specialty],
                "actor": [keeper.refer(), room.refer()],
                "planningHorizon": horizon,
            }),
            -14,
        );
        for slot in 0..SLOTS {
            let (start, end) = slot_times(slot);
            build.put(
                json!({
                    "resourceType": "Slot",
                    "id": slot_id(schedule, slot),
                    "serviceType": [concept(SNOMED, "390906007", "Follow-up encounter")],
                    "schedule": {"reference": format!("Schedule/{id}")},
                    "status": if booked.contains(&(schedule, slot)) { "busy" } else { "free" },
                    "start": start,
                    "end": end,
                }),
                -7,
            );
        }
    }
}

/// Schedule and slot of a patient's next appointment; each fifth patient has called it off.
fn slot_of(number: usize) -> Option<(usize, usize)> {
    let (turn, schedule) = ((number - 1) / TEAMS, (number - 1) % TEAMS);
    // 7 and 60 have no common divisor, so nobody shares a slot.
    (!number.is_multiple_of(5)).then_some((schedule, turn * 7 % SLOTS))
}

fn slot_id(schedule: usize, slot: usize) -> String {
    format!("slot-{:03}-{:02}", schedule + 1, slot + 1)
}

fn slot_times(slot: usize) -> (String, String) {
    let half = i64::try_from(slot % 12).unwrap_or(0);
    let day = DAYS[slot / 12];
    let end = half + 1;
    (
        at(day, 9 + half / 2, half % 2 * 30),
        at(day, 9 + end / 2, end % 2 * 30),
    )
}
