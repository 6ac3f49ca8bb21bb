"""The store: everything that pushprune reads from and writes to Redis.

Each write that must be atomic is a script in scripts/; what two scripts share is in scripts/lib/. The head of a script
names its keys, its arguments and its result, and `Connection.run` binds them by these names (see script.py).
"""

from collections.abc import Callable

from service.domain.retention.plan import Doomed
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
from service.store.deletions import CollectAfter, Deletions
from service.store.doctor_probes import DoctorProbes
from service.store.doctor_reports import DoctorReports
from service.store.ended_sessions import EndedSessions
from service.store.event_counts import EventCounts
from service.store.facts import RegistryFacts
from service.store.garbage import GarbageRecord
from service.store.gate import Gate
from service.store.history import History
from service.store.lease import Leases
from service.store.limits import Limits, PushLimits
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
from service.store.unseen_repositories import UnseenRepositories
from service.store.usage import UsageRecords
from service.store.webhooks import Webhooks


class Store:
    """Everything that pushprune keeps in Redis, by noun. Constructing it sends nothing."""

    def __init__(
        self, connection: Connection, *, limits: Limits, pushes: PushLimits, look_again_ms: int, late_s: int,
        trash_s: int, save_also: Callable[[str, Doomed, tuple[str, bytes] | None], object], collect_after: CollectAfter,
        runs: int, has_gate_processes: bool, changes_per_minute: int,
    ) -> None:  # fmt: skip
        """Construct the nouns.

        Args:
            limits: the maximum numbers of entries.
            pushes: the limits of what is remembered about pushes under way.
            look_again_ms: how long one of pushprune's DELETEs can be on its way.
            late_s: for how long after a comparison the events of pushes that it found may still arrive.
            trash_s: for how long a deletion can be restored at most.
            save_also: called with each image that is saved in the trash.
            collect_after: how much must be deleted until a collection is due.
            runs: the maximum number of recorded collections.
            has_gate_processes: a proxy asks the gate processes about every write.
            changes_per_minute: the maximum number of changes over the API.
        """
        self.connection = connection
        self.history = History(connection, limits, look_again_ms, pushes, late_s)
        self.unseen = UnseenRepositories(connection, limits)
        self.facts = RegistryFacts(connection, limits)
        self.deletions = Deletions(connection, limits, trash_s, collect_after)
        self.trash = Trash(connection, trash_s, look_again_ms, save_also)
        self.restorations = Restorations(connection, limits, look_again_ms)
        self.manual = ManualDeletions(connection)
        self.approvals = Approvals(connection, limits)
        self.outbox = Outbox(connection)
        self.policy_changes = PolicyChanges(connection)
        self.leases = Leases(connection)
        self.collections = Collections(connection)
        self.collection_runs = CollectionRuns(connection, runs)
        self.garbage = GarbageRecord(connection)
        self.reconcile_runs = ReconcileRuns(connection)
        self.gate = Gate(connection, pushes, has_processes=has_gate_processes)
        self.pushes = UnfinishedPushes(connection, pushes)
        self.claims = Claims(connection, pushes.youth_ms)
        self.capabilities = Capabilities(connection)
        self.catalog = Catalog(connection)
        self.archive = Archive(connection, limits)
        self.backup = Backup(connection)
        self.stats = Stats(connection)
        self.meter = Meter(connection)
        self.event_counts = EventCounts(connection)
        self.doctor_reports = DoctorReports(connection)
        self.doctor_probes = DoctorProbes(connection)
        self.change_limit = ChangeLimit(connection, changes_per_minute)
        self.ended_sessions = EndedSessions(connection)
        self.usage = UsageRecords(connection)
        self.sign_in_links = SignInLinks(connection)
        self.protections = Protections(connection)
        self.webhooks = Webhooks(connection)
