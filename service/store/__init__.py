"""The store: everything that pushprune reads from and writes to Redis.

Each write that must be atomic is a script in scripts/; what two scripts share is in scripts/lib/. The head of a script
names its keys, its arguments and its result, and `Connection.run` binds them by these names (see script.py).
"""

from dataclasses import dataclass

from service.store.approvals import Approvals
from service.store.archive import Archive
from service.store.backup import Backup
from service.store.capabilities import Capabilities
from service.store.catalog import Catalog
from service.store.change_limit import ChangeLimit
from service.store.claims import Claims
from service.store.collection_runs import CollectionRuns
from service.store.collections import Collections
from service.store.connection import Connection
from service.store.deletions import Deletions
from service.store.doctor_probes import DoctorProbes
from service.store.doctor_reports import DoctorReports
from service.store.ended_sessions import EndedSessions
from service.store.event_counts import EventCounts
from service.store.facts import RegistryFacts
from service.store.garbage import GarbageRecord
from service.store.gate import Gate
from service.store.history import History
from service.store.lease import Leases
from service.store.manual import ManualDeletions
from service.store.meter import Meter
from service.store.outbox import Outbox
from service.store.policy_changes import PolicyChanges
from service.store.protections import Protections
from service.store.reconcile_runs import ReconcileRuns
from service.store.restorations import Restorations
from service.store.sign_in_links import SignInLinks
from service.store.stats import Stats
from service.store.trash import Trash
from service.store.unfinished_pushes import UnfinishedPushes
from service.store.usage import UsageRecords
from service.store.webhooks import Webhooks


@dataclass(frozen=True)
class Store:
    """Everything that pushprune keeps in Redis, by noun. Constructing it sends nothing."""

    connection: Connection
    history: History
    facts: RegistryFacts
    deletions: Deletions
    trash: Trash
    restorations: Restorations
    manual: ManualDeletions
    approvals: Approvals
    outbox: Outbox
    policy_changes: PolicyChanges
    leases: Leases
    collections: Collections
    collection_runs: CollectionRuns
    garbage: GarbageRecord
    reconcile_runs: ReconcileRuns
    gate: Gate
    pushes: UnfinishedPushes
    claims: Claims
    capabilities: Capabilities
    catalog: Catalog
    archive: Archive
    backup: Backup
    stats: Stats
    meter: Meter
    event_counts: EventCounts
    doctor_reports: DoctorReports
    doctor_probes: DoctorProbes
    change_limit: ChangeLimit
    ended_sessions: EndedSessions
    usage: UsageRecords
    sign_in_links: SignInLinks
    protections: Protections
    webhooks: Webhooks
