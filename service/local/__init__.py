"""The whole system in one terminal: `pushprune up`, and `pushprune demo` on top of it.

up.py               prepares everything, starts it in order, waits until it is ready
supervisor.py       keeps the processes running as one; transcript.py is their common log
processes.py        web and worker; redis_server.py the embedded Redis
directory.py        the data directory, one `up` at a time; tokens.py and environment.py what is kept there
snippet.py          the lines for the registry's config.yml; sign_in.py a link that opens the dashboard
demo.py             runs the demo with a registry of its own: registry_binary.py finds the program,
                    demo_story.py is what is pushed, demo_result.py what is shown and checked
demo_large.py       runs the demo of a large dashboard: company.py generates what is pushed, company_player.py records
                    and plans it, company_times.py moves the history to the days of the company
one_off.py          compares, plans and deletes for one command, without a service (`--registry`), as tasks of
                    task_list.py; one_off_system.py starts its Redis, progress.py counts, made_deletions.py reports
"""
