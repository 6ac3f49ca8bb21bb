"""Every key in Redis: type, life, writers, readers. This is a public interface; docs/redis-schema.md repeats it.

All keys begin with one prefix (default `pushprune:`). R is a repository name. Times are µs since the epoch where the
name ends in _us, ms where it ends in _ms. A "short digest" is the unpadded URL-safe base64 of a sha256 (43 characters);
a digest of another algorithm is stored in full. Writers and readers are scripts in service/store/scripts/, or parts of
pushprune.

Per repository: tags and manifests
  tags:R               zset    tag → time of its last push (µs), 0 if no push was seen. The live tags, oldest first.
        Life: as long as the tag. Writers: record, adopt, prove, date, untagged, forget, restore. Readers: all.
  live:R               hash    tag → "<digest><size><mark><actor>", such as "#…1573!2". digest: "#" and the 32 bytes of
        a sha256; another digest in full, and a space. size: bytes of config and layers, of an index those of its parts,
        each blob once; 0: not known yet. mark: "!" if a worker has read its manifest, so that links:R knows it if it is
        an index; else ":". actor: as in history:R; or "?" if no push was reported, or only long after: the tag has the
        time at which it was first seen, and does not count against `last`. "?first": the first comparison of the
        repository found the tag. "?first?": both. Life and writers: as tags:R; and resolve, size. Readers: all.
  pulled:R             zset    tag, or "@<short digest>" for pulls by digest → time of its last pull (µs). Pulls by
        pushprune and by `policy.ignore_pulls` do not count. Life: until the registry has confirmed that the tag is
        gone, or that no tag points at the digest. Writers: record, adopt, untagged, forget, commit. Readers: snapshot,
        dashboards.
  untagged:R           hash    digest (short; in full for a part of an index) → "<µs since when it has no tag> <its
        last tag>[ <mark>]". Marks: "part <short digest of the index>": its index was deleted; "untagged": the policy
        deleted its last tag; "started": that deletion had started when a user moved or deleted the tag. An entry of a
        digest that another tag or an index keeps may remain until the next plan. Life: until the manifest is tagged
        or deleted; 10000 at most: another one is forgotten then, which `counters` counts. Writers: record, adopt,
        resolve, restore, request_deletions, untagged, untagged_again, forget, commit. Reader: snapshot.
  revisions:R          hash    tag → "<µs>:<short digest> …": the digests that the tag pointed at before, each with
        its last push, newest first, at most 100. Life: as long as the tag. Writers: record, adopt, restore, untagged,
        forget. Readers: snapshot, forget.
  created:R            hash    short digest → creation date of the image (µs), 0 if its config has none. Only if a
        rule counts by it. Life: as long as a tag points at the digest. Writers: date, commit, forget, record. Reader:
        snapshot.
  layers:R             hash    short digest → "<blob>:<size> …" of its config and layers. blob: the first 8 characters
        of its short digest; size: bytes in base 36. "-": the manifest is a part of an index and does not exist.
        Manifests with more than 128 blobs have no entry. Life: until the manifest is deleted;
        history.repository_layers entries at most. Writers: record, learn, resolve, forget. Readers: forget, previews,
        the measuring worker.
  links:R              hash    digest → "<µs> ?" for an index or artifact that no worker has read yet, else "<µs>
        child=<digest> … subject=<digest> unreadable". References are read from the manifest itself, never from an
        event. Life: until the manifest is deleted. Writers: record, adopt, resolve, prove, restore, forget, healing.
        Reader: snapshot.
  leased:R             zset    digest in full → until when it is in use (ms); it is not deleted before. Life: until
        then. Writers: protections; you, for images that run somewhere (ZADD). Readers: snapshot, save_to_trash.
  restored:R           zset    digest in full → until when it is kept because a user restored it (ms). Life: a day, or
        as long as the user chose; it ends with a manual deletion. Writers: restore, request_deletions, protections.
        Readers: snapshot, save_to_trash, forget.
  history:R            stream  action tag digest size actor agent address at_us reason rule media: the history of the
        tags, packed: `events` has the same entries with flat values, for dashboards. digest: short. action, actor,
        agent, rule and media: the number of the name in `dictionary` (HGETALL it); "=" and the name, if it has no
        number; or empty. Life: the newest history.repository_entries; deleted when the repository has been empty for
        history.trash, with nothing to restore. Writers: record, adopt, date, prove, untagged, forget, healed,
        not_restored, restore, approvals; deleted by retire. Readers: all.

Per repository: deletions
  doomed:R             hash    short digest → JSON {digest, policy, verdicts: [{tag, pushed_us, size, reason, rule,
        …}], trace}: images to delete. tag is "" for a manifest without a tag; "kept_as": only the tag is deleted,
        because the named tag keeps the digest. trace: the span of the plan, if it was traced. Life: until deleted or
        rescued. Writers: commit, record (rescue), untagged, forget, undoom, restore; deleted by mark_due, adopt,
        request_deletions. Reader: the deletion.
  dry_run:R            hash    the same for a policy with dry_run: images that would be deleted. Life: 7 days. Writer:
        commit. Readers: command line, API, dashboard.
  hold:R               string  JSON {at_us, reason, policy, digests}: a plan that waits for approval. at_us: since
        when; policy: fingerprint of the policy that made the plan. Life: until a plan does not have to wait. Writer:
        commit. Readers: snapshot, command line, API, dashboard.
  held                 set     R: repositories with a plan in hold:R. Life: as these. Writers: commit, forget_unseen.
        Readers: as hold:R.
  rejection:R          string  JSON {plan, by, at_us}: the plan that a user rejected. It continues to wait, and is not
        shown for approval any more. Life: 90 days. Writer, reader: approvals.
  approvals:R          zset    digest → until when its deletion is approved (ms). Life: a day, or until it is deleted
        or pushed again. Writers: approvals, forget, record. Reader: snapshot.
  manual:R             hash    tag, or "@<short digest>" of a manifest → JSON {digest, by, at_us, force, rejected}: a
        manual deletion that was requested. digest: the digest at that time; rejected: the reason for a rejection, kept
        for a day. Life: until deleted, pushed again or moved; a week after the latest request at most. Writers:
        request_deletions, reject_requests, record, adopt, untagged, forget, restore. Readers: snapshot, command line.
  manual_deleted:R     zset    short digest → when it, or its last tag, was deleted manually (µs). Its parts and
        referrers are deleted with it, whatever the policy says. Life: a day, or until pushed again, adopted or
        restored. Writers: untagged, forget, record, adopt, restore. Reader: snapshot.
  heal:R               zset    tag, digest of an index or of a manifest that a user restored without a tag, or one of
        these with " again"; or the digest of a tombstone → when to check it (ms): a delete by pushprune may have
        removed it, or a part of it. Life: until checked; after a temporary refusal of the registry it is checked
        again, after waits that double. Writers: record, save_to_trash, untagged, forget, restore, request_healing,
        healed, not_restored. Reader: healing.
  trash:R              hash    digest → JSON {media_type, content (base64), at_us}: the bytes of deleted manifests.
        Life: until the next collection, history.trash at most. Nothing is added over 90% of maxmemory.
        Writers: save_to_trash, drop_trash. Readers: record, forget, healing, restoring.
  deleted:R            hash    "<tag> <short digest>", or "@<short digest>" of a manifest without a tag → "<short
        digest> <last push> <deletion> <size> <reason>" (µs): deletions that can be restored. Life: until restored or
        dropped with the trash. Writers: untagged, forget, restore, drop_trash, healed, not_restored. Reader:
        restoring.
  touched:R            zset    tag, or the digest of a tombstone → when a delete by pushprune last concerned it
        (ms). Life: a day. Writers: save_to_trash, untagging. Reader: record.
  untagging:R          hash    tag → short digest of the image that pushprune is deleting or untagging, and " deleted"
        if the image was deleted although its plan had been dropped and a tag still needed it. Life: until the result
        is recorded, or the tag is checked or pushed; a day at most. Writers: save_to_trash, untagged, forget, healed,
        not_restored, record. Readers: record, adopt, restore.
  own_puts:R           hash    tag → "<digest> <ms>[ restored]": the last PUT of pushprune under the tag; "restored"
        if a user requested it. Life: a day. Writers: note_own_put, restore. Readers: record, healing.
  dangling:R           set     tags that the registry still lists although their image was deleted. Life: until
        removed. Writer, reader: the deletion.
  voided:R             zset    tag, or "@<short digest>" → pushes up to this time (µs) do not count: a late event must
        not bring back what was deleted. The referrers of such a digest are deleted with it. Life: a day, the latest
        1000. Writers: record, untagged, forget, restore, note_own_put, healing. Readers: record, learn, forget,
        snapshot.

The outbox: work that is left to do
  due                  zset    R → when the sweep sends it again (ms): repositories to plan. Life: until planned.
        Writers: all scripts that need a new plan. Readers: commit, sweep, summaries.
  doomed               zset    R → when the sweep sends it again (ms): repositories with entries in doomed:R. Life: as
        these. Writers: as doomed:R; sweep, postpone. Reader: sweep.
  healing              zset    R → when the sweep sends it again (ms): repositories with entries in heal:R. Life: as
        these. Writers: as heal:R; sweep, postpone. Reader: sweep.
  enforce              list    messages that ask a worker to plan a repository, as Celery's Redis transport stores them;
        those of other tasks are in delete, garbage and reconcile. Life: until a worker takes them. Writers: record,
        Celery. Reader: Celery.
  late:NAME            zset    R → since when its work in the queue NAME (due, doomed, healing) is overdue (ms);
        sending again does not change it. Life: until the work succeeds. Writers: sweep, outbox. Reader: stats.
  attempts             hash    "<queue> R" → failed attempts in a row; "<queue> R until" → end of the back-off (ms).
        Life: until an attempt succeeds; the end of the back-off also until the registry answers again. Writers:
        postpone, outbox. Readers: commit, the deletion.
  troubles             hash    problems that an operator must fix: "<subject> [R]" → JSON {message, at_ms}; "lost
        R:TAG" and "lost R@DIGEST": a delete by pushprune removed it, and it could not be restored. Life: until
        solved. Writers: outbox, healed, not_restored. Readers: snapshot, adopt, /readyz, command line, API.

Repositories: what is known
  generation           hash    R → a number that changes with every change to the tags. A plan commits only against
        the number it was made from. It starts at the clock, so no value is used twice. Life: as history:R. Writers:
        all scripts that change tags. Readers: snapshot, commit.
  by_name              zset    R → 0: all repositories, in the order of their names. Life: as history:R. Writers: all
        scripts that change generation; correct_indexes. Readers: command line, API, dashboard.
  by_push              zset    R → the last push of a live tag (µs); 0 if none was seen. Life: as history:R. Writers:
        all scripts that change tags:R or generation; correct_indexes. Readers: as by_name.
  by_tags              zset    R → number of live tags. Life, writers and readers: as by_push.
  live_tags            string  the number of all live tags: the sum of by_tags. Life: for ever. Writers: as by_push.
        Readers: API, dashboard.
  compared             hash    R → "<epoch> <µs>": when, and in which epoch, it was last compared with the registry.
        Life: as history:R. Writer: adopt. Readers: record, snapshot, reconcile runs.
  pushes:R             list    "<generation> <short digest> <tag>[ ?]": the latest pushes that pointed a tag at a
        manifest, or added one without a tag, and changed nothing else; indexes that were read. ?: it may be an index. A
        plan that they overtook is still valid if they keep nothing that it deletes. Life: 5 minutes after the last one,
        the newest 256. Writers: record, resolve. Readers: planning, snapshot.
  planned              hash    R → the newest push that the last plan considered (µs). For `hold_over`, each later
        push explains one deletion. Life: as history:R. Writers: commit, retire, forget_unseen. Reader: snapshot.
  unapproved           hash    R → "<µs> first": the first clean-up of a repository that existed before pushprune, with
        " <fingerprint>" of a policy that deletes nothing there and need not wait; or
        "<µs> policy <tags it would delete> <tags>" (in all repositories): a changed policy would delete many tags. A
        plan that deletes tags from before that time waits for approval. " <µs>" at its end is the time of a first
        clean-up that was settled until then. Life: until a plan that does not have to wait is committed; a first
        clean-up until it was approved. Writers: adopt, require_approvals, commit. Reader: snapshot.
  unannounced          hash    R → number of tags that the policy keeps only because their pushes were not reported.
        Life: until a plan finds none. Writer: commit. Readers: /readyz, command line, API, doctor.
  unconfirmed          set     R: one of its tags was reported as deleted, and its tags were not compared with the
        list of the registry since. Life: until a later plan commits; as history:R at most. Writers: record, commit,
        retire, forget_unseen. Reader: snapshot.
  unseen               zset    R → when the first event named it (ms): repositories that were never seen at the
        registry. Life: until a comparison finds a tag or forgets the repository; history.unseen_repositories at most.
        Writers: record, adopt, forget_unseen, retire. Readers: record, the sweep.
  trashed              zset    "R <digest>", or "R -" if only tags were deleted → when (µs): the index of trash:R and
        deleted:R. Life: as these. Writers: save_to_trash, drop_trash. Readers: the trash, record, forget.

Garbage collection
  gc:due               string  the reason of the requested collection. Life: until it ran or is cancelled. Writers:
        forget, collections, cancel_collection. Readers: the sweep, begin_sweep, command line, API.
  gc:undelete          string  JSON {reason, digests}: the requested undeletion; no digests: what manifests need. Life:
        until a worker begins it, an hour at most. Writer, reader: collections.
  gc:grace             string  the grace of the requested collection (s), instead of gc.grace and gc.quarantine. Life:
        until that collection ran. Writers: request_collection, collected, cancel_collection. Reader: collections.
  gc:dry_run           string  the reason of the requested dry run. Life: until it ran, an hour at most. Writer,
        reader: collections.
  gc:retry             string  while it exists, the sweep does not ask again for the requested collection. Life: its
        TTL. Writers: collections, record_run. Reader: the sweep.
  gc:waiting           hash    of the requested collection: last, at_ms: what it waits for, and when that was
        recorded; since_ms; "said <sentence>" → how often. Life: until it ran or is requested manually. Writers:
        record_run, request_collection, collected, cancel_collection. Readers: command line, API.
  gc:state             string  JSON {stage, since_ms, started_ms, reason} of the running collection. Life: 15 s,
        renewed. Writer: collections. Readers: command line, API, /readyz, /metrics.
  gc:deletes           string  number of digests deleted since the last collection. Life: for ever. Writers: forget,
        collected. Reader: collections.
  gc:bytes             string  their size in bytes, if gc.after_bytes is set. Life: for ever. Writers: forget,
        collected. Reader: collections.
  gc:traces            list    traceparent of the latest 32 batches of deletions, if traced: the span of the collection
        links to them. Life: until a collection. Writer: collections; deleted by collected. Reader: collections.
  gc:scheduled         string  when the schedule was last checked (ms). Life: for ever. Writer, reader: collections.
  gc:runs              stream  started_ms ended_ms result reason exit_code marked blobs manifests bytes_freed message
        gate unsized final checked note closed_ms unlinked quarantined quarantined_bytes quarantined_until_ms; unknown
        values are empty. Life: the newest history.runs. Writer: record_run. Readers: command line, API, dashboard.
  gc:logs              hash    started_ms → base64 of a gzip file: the output of garbage-collect in the run that started
        then; of a long output the first 2 MiB (compressed) and the last 64 KiB. Life: the newest 20 runs with output,
        16 MiB together. Writer: keep_log. Reader: dashboard.
  gc:totals            hash    "runs <result>" → number; blobs, bytes: deleted since the installation; done_ms,
        took_ms: end and duration of the last successful run. Life: for ever. Writer: record_run. Readers:
        collections, /metrics.
  gc:rehearsal         string  JSON {at_ms, blobs: [[digest, bytes or null], …]}: the blobs that the last requested
        dry run would have deleted. Life: a day. Writer: collections. Readers: command line, API.
  gc:garbage           string  JSON {at_ms, repositories, steps, leftovers}: the garbage that the last collection or
        dry run saw, by repository and by age, and the leftovers. Life: for ever. Writer: collections. Readers: command
        line, API, dashboard.
  gc:restorable        hash    "R <digest>" → "<stage> <since_ms>": the images of the trash whose blobs an online
        collection unlinked or deleted, with the stage that ends first. Life: until the next collection.
        Writer: collections. Readers: command line, API, dashboard.
  gc:unverified        string  JSON {since_ms, probes: [[R, digest], …]}: a collection that deleted blobs and is not
        verified yet. Life: until verified. Writers: begin_sweep, collections. Readers: collections,
        cancel_collection.
  gc:deleting          set     short digests that the collector was about to delete. Life: gc.youth. Writer, reader:
        the gate. The next run reads it after a crash, because their manifests are not in the trash any more.
  gc:pins              set     "R <digest>": manifests without a tag that keep, during a collection, the blobs that
        interrupted pushes may need. Life: until removed. Writer, reader: the gate.
  gc:readonly          string  since when the registry may be read-only because of a collection (ms). Life: until the
        registry accepted a write. Writer, reader: collections.
  gc:noted             zset    short digest that a request named at the gate (HEAD, mount or upload of a blob) → when
        (ms). An online collection unlinks none of them. "*": there were more than can be stored; "?": the last upload
        or mount of a digest that is no sha256: any data may belong to it, and a collection that began before deletes
        none; "!": the last request that the gate let pass and did not understand. Life: twice gc.youth;
        200000 at most. Writer: gate_admit. Readers: claim, a collection.
  gc:noting            string  since when the gate notes digests (ms). An online collection unlinks nothing before
        gc.youth has passed. Life: for ever. Writer: gate_check_in. Reader: claim.
  gc:claimed           hash    short digest, or "/R" → token of the gate's holder: requests that name the digest wait,
        because its links or its data are being deleted. "/R": all requests to R wait, because its empty folders are
        being deleted. Life: a batch; a dead holder's until its gate is opened. Writers: claim, claims, gate_turn.
        Reader: gate_admit.
  gc:unlinked          hash    short digest → "<storage_us> <redis_us>": when an online collection deleted its layer
        links, by both clocks; "?" before that. " used" follows if a request named the digest since, or a manifest
        needed it. Life: until the data is deleted, or a manifest needs it. Writers: unlinked, claims, gate_admit.
        Readers: claim, claims.
  gc:look_again        string  when the links that an online collection deleted are looked at again (ms): a manifest
        whose push began before may need one. Life: until then. Writer, reader: collections.
  gc:journal           string  random id of the journal, which the storage keeps, too. Another id there proves that
        Redis has lost the journal. Life: for ever. Writer, reader: claims.

Reconcile runs
  reconcile:due        string  the reason of the requested run over all repositories. Life: until a run starts.
        Writers: reconcile runs, reconcile_begin. Readers: reconcile runs, command line, API.
  reconcile:run        hash    the current run: reason, since_ms, whole (1: all repositories), listed (1: all names
        are known), cursor (the last name read from the catalog), catalog (why the catalog cannot be read), message,
        repositories, tags, changed, failed, row (failures in a row). Life: until the run ends. Writers: reconcile_*.
        Readers: reconcile runs, command line, API.
  reconcile:todo       zset    R → 0 if requested by a user, 1, or when it was postponed (ms): repositories that the
        run still has to compare. Life: until compared. Writers: reconcile_*. Reader: reconcile runs.
  reconcile:attempts   hash    R → failed attempts in this run. Life: as the run. Writers: reconcile_failed,
        reconcile_compared. Reader: reconcile_failed.
  reconcile:pause      string  while it exists, nothing is compared. Life: its TTL. Writers: reconcile_failed,
        reconcile_catalog_failed, reconcile runs. Reader: reconcile runs.
  reconcile:sent       string  while it exists, no second message asks a worker to continue. Life: 2 s. Writer,
        reader: reconcile runs.
  reconcile:last       hash    at_ms took_ms reason whole repositories tags changed failed catalog message: the run
        that ended last. Life: for ever. Writer: reconcile_end. Readers: command line, API, /metrics.
  reconcile:epoch      string  the epoch in which the last run over all repositories started. Life: for ever. Writers:
        reconcile_begin, reconcile runs. Reader: tick.
  reconcile:scheduled  string  when the schedule was last checked (ms). Life: for ever. Writer, reader: tick.

The write gate, and pushes in progress
  writers              zset    token of a write by pushprune → when its permit expires (ms). A collection waits until
        none is left. Life: until the write ends. Writers: enter_writer, leases. Reader: leases.
  gate                 hash    state (draining, closed, claiming or manifests; no key: open), token, fence, since_ms,
        reason, claimed_ms (the last claim of an online collection), kept (closed on purpose after the collection ended,
        because the registry has a stale cache). While it exists, writes of clients wait at the gate, in the state
        claiming only those that name a claimed digest; and pushprune does not write. Life: until its holder opens it,
        or another process proves that the holder is dead; it never expires. Writers: gate_turn, gate_check_in, claim.
        Readers: gate_admit, claim, enter_writer.
  gate:opens           zset    token of a gate that was opened → when (ms). A closed gate that disappeared without an
        entry was lost by Redis; a gate process that knew it closes it again. Life: the newest 1000. Writer:
        gate_turn. Readers: gate_check_in, gate_admit.
  gate:memory          string  a random word; another word than before proves that Redis has lost everything. Life:
        for ever. Writer: gate_check_in. Readers: gate_check_in, gate_admit.
  gate:forgot          string  when a gate process noticed that Redis had lost everything (ms). No blob is deleted
        while it exists, because earlier pushes are unknown. Life: gc.youth, an hour at least. Writer: gate_check_in.
        Reader: the gate.
  gates                zset    gate process → its last contact (ms). Life: until it checks out, an hour at most.
        Writer: gate_check_in. Reader: a collection, which waits until each process knows that the gate is closed.
  gates:seen           hash    gate process → token of the closed gate that it knows. Life: as gates. Writer:
        gate_check_in. Reader: a collection.
  pushing              zset    pushes in progress → last sign (ms). What a client claims at the gate: "R <client>
        open"; "… asking" (only HEAD requests yet); "… put" (its last manifest). What the registry reports: "R
        ~<client> open". "* * more": there were more than can be stored; "* * put": some that made no progress were
        forgotten early. client: address/hash of its User-Agent. Life: gc.youth; 10000 at most. Writers: gate_admit,
        record. Readers: gate_admit, a collection.
  manifest_puts        zset    "R <client> <reference> <number>": a PUT of a manifest that the registry has not
        reported → when the gate let it pass (ms). reference: the tag, or "@<short digest>", or "*". number: 1, 2, …;
        "*": there were more. "R <client> 0" → when the gate last let this client put a manifest. "* * * *": there were
        more than can be stored. Life: gc.youth; 10000 at most. Writers: gate_admit, record. Reader:
        manifests_reported.
  unreferenced         zset    "R <short digest> <client>", with ~ before the client if a notification reported it: a
        blob that a client checked, mounted or pushed, and that no manifest of this client references yet → when (ms);
        "*": there were more than can be stored. None of these blobs is deleted. Life: gc.youth; 100000 at most.
        Writers: gate_admit, gate_release_blobs, record. Reader: a collection.
  unread_manifests     zset    "R <short digest> <client> <ms>": a manifest whose references were not reported, with
        the time at which the gate last admitted a manifest of this client → when its push was reported (ms). A
        collection reads these manifests. Life: gc.youth; 10000 at most. Writers: record, gate_release_blobs. Reader:
        a collection.

The registry: what was observed
  capabilities         hash    since the registry started: "delete a tag" → "<restarts> yes|no"; "leave a tag" → the
        same: it still lists some tags after a DELETE; "list every tag" → "<restarts> yes", or "<restarts> no <until
        when, ms>": it hides some tags, or the test failed; until then only tags are deleted. Life: for ever; ignored
        after a restart. Writer: the deletion. Readers: the deletion, snapshot.
  restarts             string  number of registry starts seen; part of the epoch. Life: for ever. Writers: record,
        note_registry_start. Readers: snapshot, commits, save_to_trash, reconcile runs.
  started              zset    start times that the debug server of the registry reported → when first seen (ms).
        Life: the newest 64. Writer, reader: note_registry_start.
  instances            zset    source.instanceID → when first seen (ms). Life: the newest 64. Writer: record. Reader:
        note_registry_start.
  last_notification    string  when the last notification arrived, also about requests of pushprune (ms). Life: for
        ever. Writer: record. Reader: snapshot.

Streams and counters of all repositories
  events               stream  repository action tag digest size actor agent address at_us reason rule media: every
        entry of history:R of all repositories, with flat values. agent: the first word of the User-Agent; address:
        without the port; media: of a push or an adoption: "oci", "oci index", "docker", "docker list", or the media
        type. Life: the newest history.events, history.max_age at most. Writers: as history:R; the sweep. Readers:
        command line, API, dashboards, webhooks.
  dictionary           hash    name → its number in the entries of history:R: actions, users, agents, rules and media;
        users also in live:R. A number never gets another name. Life: for ever; 4096 names at most, later ones have no
        number. Writers: as history:R. Readers: as history:R and live:R.
  pulls                stream  pulls of manifests by clients: repository tag digest actor agent address at_us. Life:
        the newest history.pulls, history.max_age at most. Writers: record, the sweep. Readers: simulations, dashboards.
  rejected             stream  events that could not be parsed or recorded, or that exceed a limit: reason, excerpt.
        Life: the newest history.rejected, history.max_age at most. Writers: record, the sweep. Readers: command line,
        dashboards.
  usage                stream  size shared other unknown repositories, and "prefix <first part of repository names>":
        the storage used by all images in bytes, each blob once. shared: blobs that several prefixes use; other: all
        but the 12 largest prefixes; unknown: number of tags whose size is not known. Life: one record an hour, the
        newest 9600 (400 days). Writer: the measuring worker. Readers: command line, API, dashboards.
  usage:now            hash    the same fields and at_ms: the storage used when it was last measured. Life: for ever.
        Writer: the measuring worker. Readers: API, dashboard, /metrics.
  sizes                hash    R → "<bytes> <unknown> <version> <ms> <day>:<bytes> …": the storage that the images
        of the repository use, each blob once; the number of its tags whose size is not known; the version (generation
        and shrunk) and the time at which it was measured; its sizes on the last days on which it changed (days since
        the epoch). Life: as the repository. Writer: the measuring worker. Readers: command line, API, dashboard.
  shrunk               hash    R → how many manifests pushprune deleted in the repository. These deletions leave the
        generation as it is, and its size must be measured again. Life: as the repository. Writers: forget,
        forget_unseen. Reader: the measuring worker.
  relabeled            hash    R → how often the size or the mark of a live tag changed, which leaves the generation as
        it is. Processes that remember tags compare it. Life: as the repository. Writers: prove, resolve, size, retire,
        forget_unseen. Reader: snapshot.
  counters             hash    "<action>": events about images; "blob <action>"; "own <action>": events caused by
        pushprune; "blob", "own": their sums; "duplicate", "rejected", "deleted", "untagged", "healed", "lost",
        "restored"; "forgotten": manifests that untagged:R had no room for; "rule <name>": tags and manifests deleted
        by this rule, without a name: manually → count since the installation. Life: for ever. Writers: record, adopt,
        resolve, untagged, forget, healed, not_restored, restore. Readers: /metrics, stats.
  meter                hash    "plans:<target>", "deletes:<result>", "failures:<queue>" → count; timings:
        "<name>:<label>:<upper end in s, inf>" → count, "<name>:<label>:sum" → s. Life: for ever; the labels are few.
        Writer: add_counts. Reader: /metrics.
  flushed:NAME         string  the number of the last flush of the process NAME that was added to meter. Life: a day.
        Writer, reader: add_counts.
  seen:N               set     ids of the events of hour N, so that each event is recorded once. Life: two hours.
        Writer, reader: record.

Webhooks
  webhook:NAME         hash    of the webhook NAME: look (number of looks at what happened); entries_id, runs_id: the
        last entries of events and gc:runs that were read; troubles: JSON of those that are known; message_id: the last
        event of the message that is being sent; refusals: attempts with it that were refused; until_ms: nothing is sent
        before; attempts, since_ms, error: failed attempts in a row, the first, and the last error; gone: the receiver
        does not want any more; sent, dropped: numbers of events; failed: of attempts. Life: 7 days after the last look.
        Writers: queue_webhook_events, webhooks. Readers: webhooks, doctor, /metrics.
  webhook_queue:NAME   stream  event: JSON {id, type, repository, at_us, data}: what is still to be sent to the webhook.
        Life: until received, a day at most; the newest 10000. Writers: queue_webhook_events, webhooks. Reader:
        webhooks.
  webhook_held:NAME    set     R: repositories with a hold that the webhook knows. Life: as webhook:NAME. Writer,
        reader: webhooks.

The installation
  schema               string  version of this schema, a number; or "import": an import has begun and has not ended; or
        "import <value>": an import has begun and has changed nothing yet, <value> is the previous value; or
        "migrating <version>": a migration from that version has begun. A process of a newer version migrates the store
        before it uses it; one of an older version does not use it. Life: for ever; stored again after Redis lost
        everything. Writers: every process at its start, set_schema. Readers: every process at its start, and those of
        the service every second.
  lease:NAME           string  token of the holder. NAME: collect, tick, trim, retire, broken, lost, gate, walk,
        started, reconcile, registry, "registries ADDRESS", listing, unseen, index, measure, schema, enforce:R,
        delete:R, webhook:NAME. Life: its TTL. Writers: acquire, renew, release, elect. Readers: these, enter_writer.
  fence                string  number of leases acquired: a later holder has a larger number. Life: for ever. Writer,
        reader: acquire.
  clock                string  the time of Redis at the last sweep (ms). A time before it proves that the clock of
        Redis was set back. Life: for ever. Writer, reader: follow_clock.
  word                 string  the random word of this installation, sent in the User-Agent of its writes to the
        registry: events without it are not its own traffic. Life: for ever; stored again after Redis lost everything.
        Writers, readers: web, workers.
  workers              zset    "<worker name> <process> <queue>,<queue>,…" → its last sign of life (ms). Two processes
        with the same name are two workers. Life: a minute after the last sign. Writer: tick. Readers: stats, health
        checks.
  registries           zset    address of the registry that a worker uses → when it last said so (ms). Two addresses are
        a trouble: two registries must not share a history. Life: a minute. Writer, reader: the check of the registry.
  pulse                string  when a test write was last made (ms). Life: a minute. Writers: /readyz, /metrics;
        a new connection for messages. Reader: none.
  policy               string  digest of the policy last put in force. A change makes every repository due. Life: for
        ever. Writers: begin_comparison, apply_policy. Readers: these, snapshot, commit, health checks.
  policy:last          string  the same policy as JSON, empty for none: in force at a start while the policy file is
        broken. Life: for ever. Writers: begin_comparison, apply_policy. Reader: tick.
  policy:comparison    hash    how far a changed policy was compared with the one in force: policy and before (their
        digests), name (of the last record), stage (compare; then due: repositories are made due for it), cursor (the
        last repository of the stage), removed, of (tags); and a field "deletes R" for each repository in which the
        changed policy deletes more. No plan is made meanwhile. Life: until the policy is in force or changed back, or
        the workers have read different policies; 15 minutes after its last change. Writers: begin_comparison,
        note_comparison, apply_policy. Readers: these, require_approvals, snapshot, commit, tick.
  policy:read          zset    "<worker name> <process> <digest of the policy that it has read>" → when (ms). No digest:
        the worker cannot read its policy file. Life: a minute after the last sign, in which other workers gave some, or
        until the worker ends. Writer: note_read. Readers: begin_comparison, apply_policy, health checks.
  change_limit         string  number of changes requested over the API in this minute. Life: a minute. Writer,
        reader: count_change.
  signout:NAME         string  the dashboard session NAME was signed out: its cookie is refused. Life: web.session, as
        long as the cookie. Writer, reader: web.
  sign_in:NAME         string  a one-time link signs in to the dashboard; NAME is the SHA-256 of the secret in it.
        Life: 15 minutes, or until the link is used. Writers: up, demo, command line. Reader: web.
  probe:NAME           string  "waiting", then "received" or "received references": a test push of the doctor,
        recognised by its User-Agent. Life: 5 minutes. Writers: doctor, web. Reader: doctor.
  doctor:last          string  JSON {at_ms, by, findings: [{name, severity, message, fix}, …]}: the findings of the
        doctor's last run, without secrets. Life: 7 days. Writers: doctor, dashboard. Reader: dashboard.
"""

import base64
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SEEN_BUCKET_S = 3600
# The actor of a tag whose push was not reported says how the tag was found.
UNANNOUNCED = "?"
FOUND = "?first"
FOUND_AND_UNANNOUNCED = "?first?"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of all keys. prefix: the beginning of every name, such as `pushprune:`."""

    prefix: str

    def of(self, name: str, member: str | int = "") -> str:
        """Return a key by its name in the table above. member: what follows its colon there, such as a repository."""
        return f"{self.prefix}{name}:{member}" if member != "" else f"{self.prefix}{name}"

    def of_each(self, names: Sequence[str], member: str) -> list[str]:
        """Return several keys with the same member. Recording an event needs many, so this is one call."""
        prefix, suffix = self.prefix, f":{member}"
        return [prefix + name + suffix for name in names]


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
    # As base64.urlsafe_b64decode does it, in a third of the time: a listing unpacks thousands of digests.
    return "sha256:" + a2b_base64(text.replace("-", "+").replace("_", "/") + "=").hex()


def entry_ms(identifier: str) -> int:
    """The time (ms) at which an entry was added to a stream, by its id."""
    return int(identifier.partition("-")[0])


def decoded(answer: Any) -> Any:
    """The answer of a script that was run undecoded, with texts instead of bytes."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        try:
            # Long lists have texts only.
            return list(map(bytes.decode, answer))
        except TypeError:
            return [decoded(value) for value in answer]
    return answer


def paired(flat: Sequence[Any]) -> dict[Any, Any]:
    """The mapping behind Redis' flat list of alternating fields and values."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
