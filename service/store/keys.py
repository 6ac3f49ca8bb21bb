"""Every key in Redis: type, life, writer, reader. This is a public API; docs/redis-schema.md repeats it.

All keys stand under one prefix (default `pushprune:`). Times are µs since the epoch where the name ends in _us, ms
where it ends in _ms. R is a repository name. A "short digest" is the unpadded URL-safe base64 of a sha256 (43
characters); any other digest stands there whole.

Per repository
  tags:R        zset    tag → time of its last push (µs); 0 = never seen pushed. The live tags, oldest first.
                        Life: while the tag lives. Writers: record, adopt, taken, forget, restore. Readers: everyone.
  live:R        hash    tag → "<short digest> <size>[!] <actor>". The actor is "?" where the tag turned up unannounced:
                        its time is when it was seen, and it takes no slot; "?first" where the first comparison of the
                        repository found it; "?first?" where both are so. "!": a worker has seen its manifest, so that
                        links:R has it if it is an index. Life and writers: with tags:R; prove, resolve.
  pulled:R      zset    tag, or "@<short digest>" for pulls by digest → time of the last pull (µs), without our own
                        and those that policy.ignore_pulls names. Life: until the tag or the manifest is deleted,
                        or no tag stands there. Writers: record, adopt, forget, commit. Readers: snapshot, dashboards.
  untagged:R    hash    digest (short, or whole for a part of an index) → "<µs since when it has no tag> <the tag it had
                        last>[ part <index>| taken| begun]"; part: of that index (short), which was deleted; taken: its
                        last tag was deleted by the policy; begun: it was being, when somebody took it over or deleted
                        it. What another tag or an index holds may stand there until the next plan.
                        Life: until tagged, deleted or known to be held; 10000 at most.
                        Writers: record, adopt, resolve, taken, taken_back, forget, commit. Reader: snapshot.
  revisions:R   hash    tag → "<µs>:<short digest> …": what it pointed at before, each with its last push, the newest
                        first, at most 100. Life: with the tag. Writers: record, adopt, forget. Reader: snapshot.
  created:R     hash    short digest → when the image was made (µs), 0 = its config does not say; only where a rule
                        counts by it. Life: while a tag stands there. Writers: date, commit, forget, record.
                        Reader: snapshot.
  layers:R      hash    short digest → "<blob>:<size> …" of its config and layers: the first 8 characters of the blob's
                        short digest, and bytes in base 36. Not of manifests with more than 64.
                        Life: until the manifest is deleted; history.repository_layers at most. Writers: record, learn,
                        resolve, forget. Reader: preview.
  leased:R      zset    whole digest → until when it is in use (ms): never deleted before. Writer: you, for what runs
                        somewhere (ZADD). Life: until then. Readers: snapshot, trash.
  restored:R    zset    whole digest → until when it is kept because a user restored it (ms): a day, or as long as the
                        user said. Life: until then, or until it is deleted by hand. Writers: restore, ask.
                        Readers: snapshot, trash.
  gone:R        zset    tag, or "@<short digest>" → pushes up to this time (µs) are void: no late event brings back what
                        was deleted; and referrers follow a digest that stands there. Life: a day, the latest 1000.
                        Writers: record, forget, putting. Readers: record, snapshot.
  links:R       hash    digest → "<µs> ?" (an index or artifact nobody looked into) or
                        "<µs> child=<digest> … subject=<digest> unreadable". What it references is read from the
                        manifest itself, never from an event.
                        Life: until the manifest is deleted. Writers: record, resolve, prove, forget. Reader: snapshot.
  doomed:R      hash    short digest → JSON {digest, policy, verdicts: [{tag, pushed_us, size, reason, rule, …}]}: to be
                        deleted; tag is "" for a manifest without one, "stays_as" says that only the tag goes.
                        Life: until deleted or rescued. Writers: commit, record (rescue), taken, forget, spare, restore.
                        Reader: deletion.
  dry:R         hash    the same for a policy with dry_run: what would be deleted. Life: 7 days. Writer: commit.
  held:R        string  JSON {at_us, reason, policy, digests}: a plan that waits for approval since at_us; policy: the
                        fingerprint of the one that made it. Life: until a plan that need not wait. Writer: commit.
                        Readers: snapshot, command line, API, dashboard.
  refused:R     string  JSON {plan, by, at_us}: a waiting plan that somebody refused; it goes on waiting, and nobody is
                        asked about it. Life: 90 days. Writer, reader: dashboard.
  approvals:R   zset    digest whose deletion somebody approved → until when (ms): a day, or until it is deleted or
                        pushed again. Writers: approve, forget, record. Reader: snapshot.
  asked:R       hash    tag, or "@<short digest>" of a manifest → JSON {digest, by, at_us, force, refused}: what
                        somebody wants deleted by hand, as it stood then; refused: why nobody follows it, for a day.
                        Life: until deleted, pushed again or found elsewhere; a week after the last one at most.
                        Writers: ask, answer, record, adopt, taken, forget, restore. Readers: snapshot, command line.
  byhand:R      zset    short digest → when it, or its last tag, was deleted by hand (µs): what follows it goes,
                        whatever the policy says. Life: a day, or until pushed again, found or restored.
                        Writers: taken, forget, record, adopt, restore. Reader: snapshot.
  heal:R        zset    tag or digest of an index, alone or with " again" → when to look at it (ms): a delete of ours
                        may have taken it, or a part of it, along; or the digest of the tombstone, to be removed.
                        Life: until looked at; what the registry refuses for now stays, and waits longer each time.
                        Writers: record, trash, taken, forget, healed, not_restored. Reader: enforcement.
  trash:R       hash    digest → JSON {media_type, content (base64), at_us}. Life: until the next collection,
                        history.trash at most. Writers: trash, drop. Readers: record (healing), restore.
  deleted:R     hash    "<tag> <short digest>", or "@<short digest>" of a manifest that had no tag → "<short digest>
                        <its last push> <its deletion> <size> <reason>" (µs): what can still be put back.
                        Life: until restored or dropped with the trash. Writers: taken, forget, restore, drop, healed,
                        not_restored. Reader: restore.
  touched:R     zset    tag, or the digest of the tombstone → when a delete of ours touched it (ms). Life: a day.
                        Writers: trash, touch. Reader: record.
  taking:R      hash    tag → short digest that a delete of ours takes it off, or goes with; and " gone" where that is
                        deleted, and wanted again since its plan was dropped.
                        Life: until that is noted, or the tag is looked at or pushed; a day at most.
                        Writers: trash, taken, forget, healed, not_restored, record. Readers: record, adopt.
  put:R         hash    tag → "<digest> <ms>[ restored]": what a PUT of ours put there, when, and that a user wanted it.
                        Life: a day. Writers: putting, restore. Readers: record, healing.
  listed:R      set     tags that the registry goes on listing although their image was deleted.
                        Life: until they are removed. Writer, reader: deletion.
  history:R     stream  action tag digest size actor agent address at_us reason rule media: what happened to its tags.
                        media: of a push or an adoption: "oci", "oci index", "docker", "docker list", or the whole type.
                        Life: the newest history.repository_entries, until the repository has been empty, with
                        nothing to restore and no news, for history.trash. Writers: record, adopt, forget, retire.
                        Readers: everyone.
  lease:NAME    string  the holder's token. Life: its TTL. Writer, reader: lease.
                        NAME: collect, tick, trim, retire, broken, lost, gate, walk, started, reconcile, registry,
                        listing, unseen, enforce:R, delete:R.

Global
  due           zset    R → when the sweep sends it again (ms): repositories to plan. Life: until planned.
  doomed        zset    R → when the sweep sends it again (ms): repositories with something in doomed:R.
  unseen        zset    R → when it was first heard of (ms): repositories that nobody has seen at the registry yet.
                        Life: until a comparison finds a tag of it, or forgets it; history.unseen_repositories at most.
                        Writers: record, adopt, disown. Readers: record, sweep.
  unconfirmed   set     R: a tag of it was reported as deleted since its tags were last found to be those that the
                        registry lists. Life: until a plan commits that was made after that; with history:R at most.
                        Writers: record, commit, retire, disown. Reader: snapshot.
  healing       zset    R → when the sweep sends it again (ms): repositories with something in heal:R.
  late:NAME     zset    R → since when its work in the queue NAME (due, doomed, healing) is overdue (ms); the sweep's
                        resending does not move it. Life: until the work gets on. Writers: sweep, succeeded.
                        Readers: figures.
  gc:due        string  why a collection is wanted. Life: until one was made.
  gc:dry        string  why a dry run is wanted, and nothing more. Life: until it was made, an hour at most.
  gc:retry      string  what is wanted is asked for again once this is gone. Life: its TTL.
  gc:waiting    hash    of the wanted collection: last, at_ms: what it waits for, said when; since_ms; "said <sentence>"
                        → how often. Life: until one was made or is asked for by hand. Writer: garbage.
                        Readers: command line, API.
  gc:state      string  JSON {stage, since_ms, started_ms, reason} of the one under way. Life: 15 s, renewed.
                        Writer: garbage. Readers: command line, API, /readyz, /metrics.
  gc:deletes    string  digests deleted since the last collection. Writers: forget, collected.
  gc:bytes      string  the bytes that these came to, where gc.after_bytes is set. Writers: forget, collected.
  gc:scheduled  string  the last scheduled minute that was taken up (ms).
  gc:runs       stream  started_ms ended_ms result reason exit_code marked blobs manifests bytes_freed message gate
                        unsized final checked note closed_ms: what is not known is empty.
                        Life: the newest history.runs.
  gc:outputs    stream  started_ms text: what garbage-collect printed in the run that began then, the last 64 KiB.
                        Life: of the newest 20 runs that printed anything. Writer: garbage. Reader: dashboard.
  gc:totals     hash    "runs <result>" → how many; blobs, bytes: swept since the beginning; done_ms, took_ms: the end
                        of the last good run, and how long it took. Writer: ran. Readers: garbage, /metrics.
  gc:rehearsal  string  JSON {at_ms, blobs: [[digest, bytes or null], …]}: what the last dry run that was asked for
                        would have swept. Life: a day. Writer: garbage. Reader: command line, API.
  gc:sweep      string  JSON {since_ms, probes: [[R, digest], …]}: a sweep that began and is not checked yet.
                        Life: until its checks are over. Writer, reader: garbage.
  gc:held       set     "R digest": manifests without a tag that hold, during a sweep, what pushes which stand still may
                        need. Life: until removed. Writer, reader: a collection.
  gc:readonly   string  since when the registry may be read-only because of a collection (ms). Life: until it was seen
                        to take writes. Writer, reader: garbage.
  reconcile:due string  why everything is to be compared with the registry. Life: until a walk began for it.
                        Writers: walks, walk_begin. Readers: a walk, command line, API.
  reconcile:walk  hash  the walk under way: reason, since_ms, whole (1: every repository), listed (1: all are known),
                        cursor (the last name read of the catalog), catalog (why that cannot be read), message,
                        repositories, tags, changed, failed, row (failures in a row). Life: until it ends.
                        Writers: walk_*. Readers: a walk, command line, API.
  reconcile:todo  zset  R → 0 (asked for), 1, or when it was put off (ms): what the walk has still to compare.
                        Life: until compared. Writers: walk_*. Reader: a walk.
  reconcile:tries hash  R → attempts that failed in this walk. Life: the walk's. Writer, reader: walk_failed.
  reconcile:pause string nothing is compared while it stands. Life: its TTL. Writer, reader: a walk.
  reconcile:sent  string a worker was asked to go on. Life: 2 s. Writer, reader: a walk.
  reconcile:last  hash  at_ms took_ms reason whole repositories tags changed failed catalog message: the walk that ended
                        last. Writer: walk_ended. Readers: command line, API, /metrics.
  reconcile:epoch string the epoch in which the last walk over everything began. Writer: walk_begin. Reader: tick.
  reconcile:scheduled string the last time the schedule was taken up (ms). Writer, reader: tick.
  writers       zset    token of a delete under way → its expiry (ms). A collection waits until none is left.
  gate          hash    state (draining or closed; no key: open), token, fence, since_ms, reason, kept (left closed, as
                        the registry has a stale cache): writes wait at the gate, and ours keep out.
                        Life: until its holder opens it, or somebody proves that its collector is dead: never by time.
                        Writers: gate_turn, gate_sign. Readers: gate_admit, enter.
  gate:opens    zset    token of a gate that was opened → when (ms). A closed one that is gone without that was lost by
                        Redis, and who knew of it sets it up again. Life: the newest 1000. Writer: gate_turn.
                        Reader: gate_sign.
  gate:memory   string  a word made up when there was none: another one tells that Redis has lost everything.
                        Life: for ever. Writer, reader: gate_sign.
  gate:forgot   string  when a gate process saw that Redis had lost everything (ms). Nothing is swept while it exists:
                        pushes that began before are unknown. Life: gc.youth, an hour at least. Writer: gate_sign.
                        Reader: a collection.
  gates         zset    gate process → its last contact (ms). Life: until it signs off, an hour at
                        most. Writer: gate_sign. Reader: a collection, which waits until each knows the gate is closed.
  gates:seen    hash    gate process → the token of the closed gate that it knows of. Life: with gates.
  pushing       zset    "R <client> open", "… asking" (only HEADs yet), "… put" (its last manifest): what a client
                        claims at the gate; and "R ~<client> open": what the registry tells → last sign (ms);
                        "* * more": more than fits. client: address/hash of its User-Agent.
                        Life: gc.youth; 10000 at most. Writers: gate_admit, record. Readers: gate_admit, a collection.
  loose         zset    "R <short digest> <client>", with ~ where a notification tells: a blob that somebody asked for,
                        mounted or pushed, and that no manifest of his references yet → when (ms); "*": more than fits.
                        None of them is swept.
                        Life: gc.youth; 100000 at most. Writers: gate_admit, gate_free, record. Reader: a collection.
  unread        zset    "R <short digest> <client> <ms>": a manifest whose push did not tell what it references, and
                        when the gate had let that client's last manifest pass → when it was heard (ms): a collection
                        reads it. Life: gc.youth; 10000 at most. Writers: record, gate_free. Reader: a collection.
  sweeping      set     digests that a collection was about to sweep. Life: gc.youth. Writer, reader: a collection,
                        for the one after a crash: their manifests are no longer in the trash.
  generation    hash    R → a number that grows with every change: a plan commits only against it. It starts at the
                        clock, so that no value comes twice. Life: with history:R. Writers: all that change anything.
  compared      hash    R → "<epoch> <µs>": in which epoch and when it was compared with the registry last.
                        Life: with history:R. Writer: adopt. Readers: enforcement, a walk.
  unapproved    hash    R → "<µs> first", or "<µs> policy <tags it would delete> <tags>" (in all repositories): a plan
                        that deletes tags which were there at that time waits for an approval, as it is the first
                        clean-up of a repository that was there before pushprune, or as the changed policy would
                        delete much.
                        Life: until a plan that need not wait is committed. Writers: adopt, policy_held, commit.
                        Reader: snapshot.
  abilities     hash    what the registry was found able to do since it started: "delete a tag" → "<restarts> yes|no";
                        "leave a tag" → the same: it goes on listing some after a DELETE;
                        "list every tag" → "<restarts> yes", or "<restarts> no <until when, ms>": it hides some, or
                        could not be tried; until then only tags are deleted.
                        Writer: deletion. Readers: deletion, snapshot.
  restarts      string  counts registry instances seen, and restarts that no event told of; part of the epoch.
                        Writers: record, started.
  started       zset    what the registry's debug server says of its start → first seen (ms). Life: the newest 64.
                        Writer, reader: tick.
  instances     zset    source.instanceID → first seen (ms). Life: the newest 64. Writer: record.
  heard         string  when the registry last told of anything, of us as well (ms). Life: for ever. Writer: record.
                        Reader: snapshot.
  attempts      hash    "<queue> R" → failed attempts in a row, "<queue> R until" → end of the back-off (ms).
                        Life: until it succeeds; the end of the back-off: until the registry answers again.
                        Writers: put_off, the look at the registry. Readers: commit, deletion.
  trouble       hash    what an operator must mend: "<who> [R]" → JSON {message, at_ms}; "lost R:TAG" and
                        "lost R@DIGEST": what a delete of ours took along and is not restored. Life: until it works
                        again, or nobody misses it. Readers: snapshot, adopt (lost tags), /readyz, command line, API.
  events        stream  every history:R entry of all repositories, with `repository`. Newest history.events.
  pulls         stream  manifest pulls by others: repository tag digest actor agent address at_us. Newest history.pulls.
  rejected      stream  events that could not be understood: reason, excerpt. Newest history.rejected.
  counters      hash    "<action>": events about images; "blob <action>"; "own <action>": events that pushprune caused;
                        "blob", "own": all of these; "duplicate", "rejected", "deleted", "untagged", "healed",
                        "lost", "restored", "rule <name>" (tags and manifests that went by that rule; without a name:
                        by hand) → count since the beginning.
  meter         hash    "plans:<target>", "deletes:<result>", "failures:<queue>" → count; and of what is timed
                        "<name>:<label>:<upper end in s, inf>" → count, "<name>:<label>:sum" → s. Since the beginning.
                        Life: for ever; the labels are few. Writers: web, workers. Reader: /metrics.
  seen:N        set     ids of the events of hour N, so that each is recorded once. Life: two hours. Writer: record.
  changes       string  changes that were asked for over the API in this minute. Life: a minute. Writer, reader: change.
  unheard       hash    R → tags that the policy keeps only because their pushes were not heard. Life: until a plan
                        finds none. Writer: commit. Readers: /readyz, command line, API, doctor.
  planned       hash    R → the newest push that its last plan decided about (µs): each later push explains one deletion
                        when a plan is weighed against hold_over. Life: with history:R. Writers: commit, retire,
                        disown. Reader: snapshot.
  word          string  the random word of this installation, which its writes to the registry carry in their
                        User-Agent: events without it are not its own traffic. Life: for ever; after Redis lost
                        everything it is stored again. Writers, readers: web, workers.
  fence         string  counts acquisitions of leases: a later holder has the larger number.
  clock         string  the time of Redis at the last sweep (ms): an earlier one tells that its clock was set back.
                        Life: for ever. Writer, reader: clock.
  signout:NAME  string  a session of the dashboard, by its id, was signed out: its cookie is refused.
                        Life: web.session, as long as the cookie. Writer, reader: web.
  probe:NAME    string  "waiting", then "heard" or "heard references": a push of the doctor's own, known again by its
                        User-Agent. Life: 5 minutes. Writers: doctor; the web process, which notes nothing else of it.
                        Reader: doctor.
  doctor:last   string  JSON {at_ms, by, findings: [{name, severity, said, mend}, …]}: what the doctor found when it
                        was asked to look on the dashboard, without secrets. Life: 7 days. Writer, reader: dashboard.
  workers       zset    "<worker name> <process> <queue>,<queue>,…" → its last sign of life (ms). Two processes of one
                        name are two workers. Life: forgotten after a minute. Writer: tick.
                        Readers: figures, health checks.
  pulse         string  when a write was last made only to see if Redis takes writes (ms). Life: a minute.
                        Writers: /readyz; a connection for messages that is opened. Reader: none.
  policy        string  digest of the policy last put in force; a change makes every repository due. Writer: tick.
  policy:last   string  that policy as JSON, empty for none: in force while its file is broken at a start. Writer: tick.
  trashed       zset    "R digest", or "R -" where only tags went → when (µs): the index over trash:R and deleted:R.
"""

import base64
from dataclasses import dataclass

SEEN_BUCKET_S = 3600
# The actor of a tag whose push nobody heard says how it was found.
SIGHTED = "?"
FOUND = "?first"
FOUND_AND_SIGHTED = "?first?"
PROVED = "!"  # behind the size of a tag whose manifest a worker has seen


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds every key name. prefix: what all keys begin with, such as `pushprune:`."""

    prefix: str

    def of(self, name: str) -> str:
        """A global key by its name in the table above."""
        return f"{self.prefix}{name}"

    def tags(self, repository: str) -> str:
        return f"{self.prefix}tags:{repository}"

    def live(self, repository: str) -> str:
        return f"{self.prefix}live:{repository}"

    def pulled(self, repository: str) -> str:
        return f"{self.prefix}pulled:{repository}"

    def gone(self, repository: str) -> str:
        return f"{self.prefix}gone:{repository}"

    def links(self, repository: str) -> str:
        return f"{self.prefix}links:{repository}"

    def doomed(self, repository: str) -> str:
        return f"{self.prefix}doomed:{repository}"

    def dry(self, repository: str) -> str:
        return f"{self.prefix}dry:{repository}"

    def held(self, repository: str) -> str:
        return f"{self.prefix}held:{repository}"

    def approvals(self, repository: str) -> str:
        return f"{self.prefix}approvals:{repository}"

    def refused(self, repository: str) -> str:
        return f"{self.prefix}refused:{repository}"

    def asked(self, repository: str) -> str:
        return f"{self.prefix}asked:{repository}"

    def byhand(self, repository: str) -> str:
        return f"{self.prefix}byhand:{repository}"

    def heal(self, repository: str) -> str:
        return f"{self.prefix}heal:{repository}"

    def trash(self, repository: str) -> str:
        return f"{self.prefix}trash:{repository}"

    def deleted(self, repository: str) -> str:
        return f"{self.prefix}deleted:{repository}"

    def touched(self, repository: str) -> str:
        return f"{self.prefix}touched:{repository}"

    def taking(self, repository: str) -> str:
        return f"{self.prefix}taking:{repository}"

    def put(self, repository: str) -> str:
        return f"{self.prefix}put:{repository}"

    def untagged(self, repository: str) -> str:
        return f"{self.prefix}untagged:{repository}"

    def revisions(self, repository: str) -> str:
        return f"{self.prefix}revisions:{repository}"

    def created(self, repository: str) -> str:
        return f"{self.prefix}created:{repository}"

    def layers(self, repository: str) -> str:
        return f"{self.prefix}layers:{repository}"

    def leased(self, repository: str) -> str:
        return f"{self.prefix}leased:{repository}"

    def restored(self, repository: str) -> str:
        return f"{self.prefix}restored:{repository}"

    def listed(self, repository: str) -> str:
        return f"{self.prefix}listed:{repository}"

    def history(self, repository: str) -> str:
        return f"{self.prefix}history:{repository}"

    def late(self, queue: str) -> str:
        return f"{self.prefix}late:{queue}"

    def lease(self, name: str) -> str:
        return f"{self.prefix}lease:{name}"

    def probe(self, name: str) -> str:
        return f"{self.prefix}probe:{name}"

    def signout(self, session: str) -> str:
        return f"{self.prefix}signout:{session}"

    def seen(self, bucket: int) -> str:
        return f"{self.prefix}seen:{bucket}"


def short(digest: str) -> str:
    """The short form of a digest, for the per-repository hashes: 43 characters keep them in Redis' compact encoding."""
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256" or len(hexadecimal) != 64:
        return digest
    return base64.urlsafe_b64encode(bytes.fromhex(hexadecimal)).decode().rstrip("=")


def long(text: str) -> str:
    """The digest behind its short form."""
    if ":" in text:
        return text
    return "sha256:" + base64.urlsafe_b64decode(text + "=").hex()


def paired(flat: list[str]) -> dict[str, str]:
    """The mapping behind Redis' flat list of alternating fields and values."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
