//! The search parameters this server knows: FHIR R4 parameter → kind and element path.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How a parameter's values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `system|code`.
    Token,
    /// `Type/id`.
    Reference,
    /// Starts with, case and accents aside.
    Text,
    /// A span of time.
    Date,
    /// Equal as written.
    Uri,
}

impl Kind {
    /// The name that FHIR's SearchParameter.type has for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Text => "string",
            Self::Date => "date",
            Self::Uri => "uri",
        }
    }
}

/// A search parameter of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its code, as in a query.
    pub code: &'static str,
    /// How its values compare.
    pub kind: Kind,
    /// Element paths in the notation of the table below.
    pub paths: &'static str,
}

/// The parameters of every type this server knows, in one order for good.
pub static PARAMS: LazyLock<BTreeMap<&'static str, Vec<Param>>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    let mut params: Vec<Param> = Vec::new();
    let mut name = "";
    for line in TABLE.lines().chain([""]) {
        let mut words = line.split_whitespace();
        match words.next() {
            None => {
                if !name.is_empty() {
                    params.extend(parse("token", EVERY_TOKEN.split_whitespace()));
                    params.extend(parse("date", EVERY_DATE.split_whitespace()));
                    params.extend(parse("uri", EVERY_URI.split_whitespace()));
                    all.insert(name, std::mem::take(&mut params));
                }
                name = "";
            }
            Some(word) if name.is_empty() => name = word,
            Some(kind) => params.extend(parse(kind, words)),
        }
    }
    all
});

fn parse<'a>(
    kind: &'a str,
    words: impl Iterator<Item = &'static str> + 'a,
) -> impl Iterator<Item = Param> + 'a {
    let kind = match kind {
        "token" => Kind::Token,
        "reference" => Kind::Reference,
        "string" => Kind::Text,
        "date" => Kind::Date,
        _ => Kind::Uri,
    };
    words.map(move |word| {
        let (code, paths) = word.split_once('=').unwrap_or((word, word));
        Param { code, kind, paths }
    })
}

const EVERY_TOKEN: &str = "_id=id _security=meta.security _tag=meta.tag";
const EVERY_DATE: &str = "_lastUpdated=meta.lastUpdated";
const EVERY_URI: &str = "_profile=meta.profile _source=meta.source";

/// A block for each type, ended by an empty line: its name, then a line for each kind.
/// `code` alone is its own path. `a+b` is either path, `value[x]` every type of a choice,
/// `value[DateTime,Period]` some of them, `subject:Patient` a reference to that type only,
/// `telecom?email` a contact point of that system.
const TABLE: &str = "\
Patient
token active address-use=address.use email=telecom?email gender identifier
token language=communication.language phone=telecom?phone telecom
reference general-practitioner=generalPractitioner link=link.other
reference organization=managingOrganization
string address address-city=address.city address-country=address.country
string address-postalcode=address.postalCode address-state=address.state family=name.family
string given=name.given name
date birthdate=birthDate death-date=deceased[DateTime]

Practitioner
token active address-use=address.use communication email=telecom?email gender identifier
token phone=telecom?phone telecom
string address address-city=address.city address-country=address.country
string address-postalcode=address.postalCode address-state=address.state family=name.family
string given=name.given name

PractitionerRole
token active email=telecom?email identifier phone=telecom?phone role=code specialty telecom
reference endpoint location organization practitioner service=healthcareService
date date=period

Organization
token active address-use=address.use identifier type
reference endpoint partof=partOf
string address address-city=address.city address-country=address.country
string address-postalcode=address.postalCode address-state=address.state name=name+alias

Location
token address-use=address.use identifier operational-status=operationalStatus status type
reference endpoint organization=managingOrganization partof=partOf
string address address-city=address.city address-country=address.country
string address-postalcode=address.postalCode address-state=address.state name=name+alias

Encounter
token class identifier participant-type=participant.type reason-code=reasonCode
token special-arrangement=hospitalization.specialArrangement status type
reference account appointment based-on=basedOn diagnosis=diagnosis.condition
reference episode-of-care=episodeOfCare location=location.location part-of=partOf
reference participant=participant.individual patient=subject:Patient
reference practitioner=participant.individual:Practitioner reason-reference=reasonReference
reference service-provider=serviceProvider subject
date date=period location-period=location.period

Observation
token category code combo-code=code+component.code
token combo-data-absent-reason=dataAbsentReason+component.dataAbsentReason
token combo-value-concept=value[CodeableConcept]+component.value[CodeableConcept]
token component-code=component.code component-data-absent-reason=component.dataAbsentReason
token component-value-concept=component.value[CodeableConcept]
token data-absent-reason=dataAbsentReason identifier method status
token value-concept=value[CodeableConcept]
reference based-on=basedOn derived-from=derivedFrom device encounter focus has-member=hasMember
reference part-of=partOf patient=subject:Patient performer specimen subject
string value-string=value[String]
date date=effective[x] value-date=value[DateTime,Period]

Condition
token body-site=bodySite category clinical-status=clinicalStatus code evidence=evidence.code
token identifier severity stage=stage.summary verification-status=verificationStatus
reference asserter encounter evidence-detail=evidence.detail patient=subject:Patient subject
string abatement-string=abatement[String] onset-info=onset[String]
date abatement-date=abatement[DateTime,Period] onset-date=onset[DateTime,Period]
date recorded-date=recordedDate

AllergyIntolerance
token category clinical-status=clinicalStatus code=code+reaction.substance criticality
token identifier manifestation=reaction.manifestation route=reaction.exposureRoute
token severity=reaction.severity type verification-status=verificationStatus
reference asserter patient recorder
date date=recordedDate last-date=lastOccurrence onset=reaction.onset

MedicationRequest
token category code=medication[CodeableConcept] identifier intended-performertype=performerType
token intent priority status
reference encounter intended-dispenser=dispenseRequest.performer intended-performer=performer
reference medication=medication[Reference] patient=subject:Patient requester subject
date authoredon=authoredOn date=dosageInstruction.timing.event

Immunization
token identifier reason-code=reasonCode status status-reason=statusReason
token target-disease=protocolApplied.targetDisease vaccine-code=vaccineCode
reference location manufacturer patient performer=performer.actor reaction=reaction.detail
reference reason-reference=reasonReference
string lot-number=lotNumber series=protocolApplied.series
date date=occurrence[x] reaction-date=reaction.date

Procedure
token category code identifier reason-code=reasonCode status
reference based-on=basedOn encounter location
reference part-of=partOf patient=subject:Patient performer=performer.actor
reference reason-reference=reasonReference subject
date date=performed[x]
uri instantiates-uri=instantiatesUri

Appointment
token appointment-type=appointmentType identifier part-status=participant.status
token reason-code=reasonCode service-category=serviceCategory service-type=serviceType specialty
token status
reference actor=participant.actor based-on=basedOn location=participant.actor:Location
reference patient=participant.actor:Patient practitioner=participant.actor:Practitioner
reference reason-reference=reasonReference slot supporting-info=supportingInformation
date date=start

Schedule
token active identifier service-category=serviceCategory service-type=serviceType specialty
reference actor
date date=planningHorizon

Slot
token appointment-type=appointmentType identifier service-category=serviceCategory
token service-type=serviceType specialty status
reference schedule
date start

CareTeam
token category identifier status
reference encounter participant=participant.member patient=subject:Patient subject
date date=period

ServiceRequest
token body-site=bodySite category code identifier intent performer-type=performerType priority
token requisition status
reference based-on=basedOn encounter
reference patient=subject:Patient performer replaces requester specimen subject
date authored=authoredOn occurrence=occurrence[x]
uri instantiates-uri=instantiatesUri

DiagnosticReport
token category code conclusion=conclusionCode identifier status
reference based-on=basedOn encounter media=media.link patient=subject:Patient performer result
reference results-interpreter=resultsInterpreter specimen subject
date date=effective[x] issued

DocumentReference
token category contenttype=content.attachment.contentType event=context.event
token facility=context.facilityType format=content.format identifier=masterIdentifier+identifier
token language=content.attachment.language relation=relatesTo.code security-label=securityLabel
token setting=context.practiceSetting status type
reference authenticator author custodian encounter=context.encounter patient=subject:Patient
reference related=context.related relatesto=relatesTo.target subject
string description
date date period=context.period
uri location=content.attachment.url

CarePlan
token activity-code=activity.detail.code category identifier intent status
reference activity-reference=activity.reference based-on=basedOn care-team=careTeam
reference condition=addresses encounter goal
reference part-of=partOf patient=subject:Patient performer=activity.detail.performer replaces
reference subject
date activity-date=activity.detail.scheduled[x] date=period
uri instantiates-uri=instantiatesUri

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_as_written() {
        let find = |name: &str, code: &str| {
            PARAMS
                .get(name)
                .and_then(|params| params.iter().find(|param| param.code == code).copied())
        };
        assert_eq!(PARAMS.len(), 20);
        let patient = find("Observation", "patient").unwrap();
        assert_eq!(
            (patient.kind, patient.paths),
            (Kind::Reference, "subject:Patient")
        );
        assert_eq!(find("Slot", "status").unwrap().paths, "status");
        assert_eq!(find("Slot", "_tag").unwrap().kind, Kind::Token);
        assert_eq!(find("Slot", "patient"), None);
    }
}
