"""Every fenced block of every document is executed by a test, or listed as not executable.

A block that is added to a document must be added to a table, with the test that executes it.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from e2e.documents import blocks

ROOT = Path(__file__).parents[2]
ANY_NUMBER = None
README, DOCS = "tests/e2e/test_readme.py", "tests/e2e/test_docs.py"
SINKS, DEPLOY = "tests/server/sinks/test_docs.py", "tests/deployment/test_deploy_page.py"
BY_COMMAND = "tests/e2e/test_cli.py"
BACKUP, UPGRADE = "tests/e2e/test_backup.py", "tests/e2e/test_upgrade.py"
MONITORING = "tests/deployment/test_monitoring.py"
IDENTITY = "tests/server/identity/test_docs.py"
PROTOS = "tests/e2e/test_protos_readme.py"
CLI = "tests/server/cli/test_main.py"
INSTALLING = "tests/field/test_installing.py"
LANGUAGES = "tests/field/test_languages.py"
JAVA = [(LANGUAGES, "test_the_project_in_java_prints_what_is_shown")]
KOTLIN = [(LANGUAGES, "test_the_project_in_kotlin_prints_the_same")]
CPP = [(LANGUAGES, "test_the_project_in_cpp_prints_the_same")]
RUST = [(LANGUAGES, "test_the_project_in_rust_prints_the_same")]
FIELD = "tests/field/test_proxies.py"
SCENARIOS = "tests/clients/test_conformance.py"
CHAIN = "clients/go/chain_test.go"
GO, TYPESCRIPT = "clients/go/readme_test.go", "clients/typescript/tests/examples.test.ts"

# By document and language: the number of blocks (ANY_NUMBER if the tests execute all of them,
# however many there are), and the tests that execute them.
EXECUTED: dict[tuple[str, str], tuple[int | None, list[tuple[str, str]]]] = {
    ("README.md", "python"): (1, [(README, "test_the_first_call_from_python_does_what_it_says")]),
    ("README.md", "sh"): (
        8,
        [
            (INSTALLING, "test_the_python_client_installs_from_a_checkout"),
            (README, "test_every_make_target_and_command_it_names_exists"),
            (README, "test_in_production_the_schema_is_migrated_and_the_server_serves"),
            (README, "test_the_calls_by_grpcurl_save_append_and_stream"),
            (README, "test_the_diff_of_two_moments_of_a_run_is_shown"),
            (README, "test_the_feed_is_followed_as_shown"),
            (DOCS, "test_the_commands_of_a_terminal_work"),
        ],
    ),
    ("clients/conformance/README.md", "json"): (
        1,
        [(SCENARIOS, "test_the_scenario_that_is_shown_is_one_of_the_file")],
    ),
    ("clients/conformance/README.md", "sh"): (
        1,
        [(SCENARIOS, "test_the_commands_that_are_shown_are_there")],
    ),
    ("clients/go/README.md", "go"): (1, [(GO, "TestTheQuickStartDoesWhatItSays")]),
    ("clients/go/README.md", "sh"): (
        1,
        [(INSTALLING, "test_the_go_client_installs_from_a_checkout")],
    ),
    ("clients/typescript/README.md", "sh"): (
        2,  # the other has the commands of CI
        [(INSTALLING, "test_the_typescript_client_installs_from_a_checkout")],
    ),
    ("clients/typescript/README.md", "ts"): (ANY_NUMBER, [(TYPESCRIPT, "examples")]),
    ("deploy/helm/runstore/README.md", "sh"): (
        1,
        [(DEPLOY, "test_the_installation_shown_renders")],
    ),
    ("docs/artifacts.md", "python"): (1, [(DOCS, "test_the_python_of_a_page_works")]),
    ("docs/chain.md", "json"): (1, [(CHAIN, "TestTheExampleOfThePageIsRecomputed")]),
    ("docs/chain.md", "text"): (
        3,  # the others are what it implements
        [(CHAIN, "TestTheBytesOfThePageAreThoseThatAreHashed")],
    ),
    ("docs/cli.md", "sh"): (
        2,
        [
            (CLI, "test_the_script_that_is_shown_tells_the_ends_apart"),
            (CLI, "test_completion_is_installed_as_shown"),
        ],
    ),
    ("docs/export.md", "python"): (1, [(DOCS, "test_the_python_of_a_page_works")]),
    ("docs/export.md", "sh"): (
        3,
        [
            (DOCS, "test_the_commands_of_a_terminal_work"),
            (DOCS, "test_the_verifier_is_run_as_shown"),
        ],
    ),
    ("docs/configs.md", "python"): (1, [(DOCS, "test_the_python_of_a_page_works")]),
    ("docs/configs.md", "sh"): (1, [(DOCS, "test_the_commands_of_a_terminal_work")]),
    ("docs/deploy.md", "sh"): (
        2,
        [
            (DEPLOY, "test_it_is_run_with_settings_ports_and_commands_that_it_has"),
            (DEPLOY, "test_the_installation_shown_renders"),
        ],
    ),
    ("docs/deploy.md", "ini"): (
        1,
        [
            (
                "tests/field/test_database_defaults.py",
                "test_through_a_pooler_set_up_as_the_page_says_everything_works",
            )
        ],
    ),
    ("docs/deploy.md", "sql"): (
        1,
        [("tests/field/test_roles.py", "test_the_service_does_all_its_work_with_its_grants")],
    ),
    ("docs/deploy.md", "yaml"): (
        1,
        [(DEPLOY, "test_the_probes_shown_are_those_of_the_chart")],
    ),
    ("docs/go.md", "go"): (ANY_NUMBER, [(GO, "TestTheGuidesExamplesDoWhatTheySay")]),
    ("docs/grpcurl.md", "sh"): (
        ANY_NUMBER,
        [("tests/e2e/test_grpcurl.py", "test_every_command_answers_what_the_document_shows")],
    ),
    ("docs/grpcurl.md", "json"): (
        ANY_NUMBER,
        [("tests/e2e/test_grpcurl.py", "test_every_command_answers_what_the_document_shows")],
    ),
    ("docs/backup.md", "ini"): (
        1,
        [(BACKUP, "test_wal_brings_back_a_moment_and_nothing_later")],
    ),
    ("docs/backup.md", "sh"): (
        10,
        [
            (BACKUP, "test_a_dump_brings_back_every_row_and_goes_on"),
            (BACKUP, "test_what_was_erased_and_deleted_after_the_dump_is_so_again"),
            (BACKUP, "test_wal_brings_back_a_moment_and_nothing_later"),
        ],
    ),
    ("docs/upgrade.md", "sh"): (
        3,
        [
            (UPGRADE, "test_a_database_is_brought_up_from_its_backup_too"),
            (UPGRADE, "test_it_is_sealed_and_not_taken_back_then"),
        ],
    ),
    ("docs/upgrade.md", "text"): (
        1,
        [(UPGRADE, "test_a_database_is_brought_up_from_its_backup_too")],
    ),
    ("docs/retention.md", "sh"): (1, [(DOCS, "test_the_commands_about_retention_work")]),
    ("docs/archive.md", "sh"): (1, [(DOCS, "test_the_commands_about_archives_work")]),
    ("docs/deletion.md", "sh"): (1, [(DOCS, "test_the_commands_about_deletion_work")]),
    ("docs/erasure.md", "sh"): (
        2,
        [
            (DOCS, "test_the_commands_about_erasure_work"),
            (BY_COMMAND, "test_erasures_are_cleaned_up_by_the_owner"),
        ],
    ),
    ("docs/holds.md", "sh"): (1, [(DOCS, "test_the_commands_about_holds_work")]),
    ("docs/http.md", "console"): (9, [(DOCS, "test_http_answers_what_is_shown")]),
    ("docs/http.md", "js"): (
        1,
        [
            (DOCS, "test_a_page_in_a_browser_reads_a_run_to_its_end"),
            (DOCS, "test_a_page_in_a_browser_goes_on_after_the_502_of_a_proxy"),
        ],
    ),
    ("docs/langgraph.md", "python"): (
        ANY_NUMBER,
        [(DOCS, "test_the_python_of_a_page_prints_what_is_shown")],
    ),
    ("docs/langgraph.md", "text"): (
        ANY_NUMBER,
        [(DOCS, "test_the_python_of_a_page_prints_what_is_shown")],
    ),
    ("docs/langgraph.md", "sh"): (
        1,
        [(DOCS, "test_the_extra_that_is_installed_is_one_of_the_package")],
    ),
    ("docs/other-languages.md", "cmake"): (1, CPP),
    ("docs/other-languages.md", "cpp"): (1, CPP),
    ("docs/other-languages.md", "java"): (1, JAVA),
    ("docs/other-languages.md", "kotlin"): (1, KOTLIN),
    ("docs/other-languages.md", "rust"): (2, RUST),
    ("docs/other-languages.md", "sh"): (4, JAVA + KOTLIN + RUST + CPP),
    ("docs/other-languages.md", "text"): (1, JAVA + KOTLIN + RUST + CPP),
    ("docs/other-languages.md", "toml"): (1, RUST),
    ("docs/other-languages.md", "xml"): (
        3,
        [*JAVA, *KOTLIN, (LANGUAGES, "test_the_project_in_c_sharp_is_xml")],
    ),
    ("docs/monitoring.md", "sh"): (
        1,
        [(MONITORING, "test_the_upgrade_shown_brings_alerts_and_board")],
    ),
    ("docs/monitoring.md", "yaml"): (
        1,
        [(MONITORING, "test_the_configuration_shown_has_the_alerts_and_the_port")],
    ),
    ("docs/performance.md", "sh"): (1, [(DOCS, "test_the_measures_shown_can_be_asked_for")]),
    ("docs/proxies.md", "nginx"): (
        2,
        [(FIELD, "test_requests_of_any_size_pass_a_configured_proxy")],
    ),
    ("docs/proxies.md", "haproxy"): (
        1,
        [(FIELD, "test_requests_of_any_size_pass_a_configured_proxy")],
    ),
    ("docs/proxies.md", "yaml"): (2, [(FIELD, "test_what_no_test_runs_is_yaml")]),
    ("docs/python.md", "python"): (
        ANY_NUMBER,
        [(DOCS, "test_the_python_of_a_page_prints_what_is_shown")],
    ),
    ("docs/python.md", "sh"): (
        1,
        [(DOCS, "test_the_extra_that_is_installed_is_one_of_the_package")],
    ),
    ("docs/python.md", "text"): (
        ANY_NUMBER,
        [(DOCS, "test_the_python_of_a_page_prints_what_is_shown")],
    ),
    ("docs/search.md", "python"): (1, [(DOCS, "test_the_python_of_a_page_works")]),
    ("docs/search.md", "sh"): (1, [(DOCS, "test_the_commands_of_a_terminal_work")]),
    ("docs/security.md", "json"): (
        2,
        [
            (IDENTITY, "test_the_identity_provider_that_is_shown_gives_grants_by_groups"),
            (IDENTITY, "test_the_names_in_certificates_that_are_shown_are_taken"),
        ],
    ),
    ("docs/security.md", "yaml"): (
        2,
        [(IDENTITY, "test_the_service_accounts_that_are_shown_are_known")],
    ),
    ("docs/security.md", "sh"): (
        6,
        [
            ("tests/e2e/test_security.py", "test_a_server_with_a_certificate_is_used_as_shown"),
            ("tests/e2e/test_security.py", "test_tokens_are_made_and_used_as_shown"),
        ],
    ),
    ("docs/sinks.md", "console"): (1, [(SINKS, "test_the_commands_shown_are_understood")]),
    ("docs/sinks.md", "js"): (
        1,
        [(SINKS, "test_the_javascript_shown_tells_genuine_requests_from_others")],
    ),
    ("docs/sinks.md", "json"): (
        2,
        [
            (SINKS, "test_the_configuration_shown_is_taken"),
            (SINKS, "test_the_event_shown_is_json"),
        ],
    ),
    ("docs/sinks.md", "properties"): (
        1,
        [(SINKS, "test_the_publication_shown_has_the_tables_that_debezium_is_to_read")],
    ),
    ("docs/sinks.md", "python"): (
        1,
        [(SINKS, "test_the_python_shown_tells_genuine_requests_from_others")],
    ),
    ("docs/sinks.md", "sql"): (
        1,
        [(SINKS, "test_the_publication_shown_has_the_tables_that_debezium_is_to_read")],
    ),
    ("docs/statistics.md", "python"): (1, [(DOCS, "test_the_python_of_a_page_works")]),
    ("docs/statistics.md", "sh"): (
        1,
        [
            (DOCS, "test_the_commands_of_a_terminal_work"),
            (DOCS, "test_statistics_are_read_by_the_curl_that_is_shown"),
        ],
    ),
    ("docs/typescript.md", "ts"): (ANY_NUMBER, [(TYPESCRIPT, "examples")]),
    ("docs/testing.md", "python"): (3, [(DOCS, "test_the_testing_examples_work")]),
    ("docs/testing.md", "sh"): (
        1,
        [(DOCS, "test_the_extra_that_is_installed_is_one_of_the_package")],
    ),
    ("protos/README.md", "sh"): (
        2,
        [
            (PROTOS, "test_one_include_path_is_enough_for_protoc_and_buf"),
            (PROTOS, "test_a_server_describes_itself_with_its_comments"),
        ],
    ),
}
# Blocks that are not executed: a drawing, outputs (compared if a command precedes them), and a
# target of make that CI runs.
NOT_EXECUTED = {
    ("ARCHITECTURE.md", ""),
    ("docs/grpcurl.md", "text"),
    ("docs/typescript.md", "sh"),
}


def found() -> Counter[tuple[str, str]]:
    """The number of blocks of each language in each document."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return Counter(
        (name, language.partition(" ")[0])
        for name in listed.stdout.splitlines()
        for language, _ in blocks(ROOT / name)
    )


def test_every_block_is_executed_or_listed_as_not_executable() -> None:
    shown = found()

    unknown = shown.keys() - EXECUTED.keys() - NOT_EXECUTED
    gone = (EXECUTED.keys() | NOT_EXECUTED) - shown.keys()
    more = {
        place: shown[place]
        for place, (count, _) in EXECUTED.items()
        if count is not ANY_NUMBER and shown[place] != count
    }

    assert not unknown, "no test executes these"
    assert not gone, "no document has these"
    assert not more, "the number of blocks has changed: are all of them executed?"


@pytest.mark.parametrize("place", EXECUTED, ids=" ".join)
def test_the_named_tests_exist(place: tuple[str, str]) -> None:
    for file, test in EXECUTED[place][1]:
        assert re.search(rf"\b{test}\(", (ROOT / file).read_text()), f"{file} has no {test}"
