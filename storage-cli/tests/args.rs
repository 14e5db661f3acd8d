//! The command line itself: that it is consistent, what it accepts, and what it refuses.

use clap::CommandFactory;
use clap::Parser;
use storage_cli::args::Cli;
use storage_cli::args::Command;
use storage_cli::args::SERVER;
use storage_cli::output::Format;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("storage-cli").chain(line.split_whitespace()))
}

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn defaults() {
    let cli = parse("stats").unwrap();
    assert_eq!(cli.target.server, SERVER);
    assert_eq!(cli.target.data_dir, None);
    assert_eq!(cli.target.tenant, None);
    assert_eq!(cli.format, Format::Table);
}

#[test]
fn options_for_all_commands_stand_before_or_after_the_command() {
    for line in [
        "--server http://h:1 --tenant t --format json list --limit 5",
        "list --limit 5 --server http://h:1 --tenant t --format json",
        "--tenant t list --server http://h:1 --limit 5 --format json",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(cli.target.server, "http://h:1", "{line}");
        assert_eq!(cli.target.tenant.as_deref(), Some("t"), "{line}");
        assert_eq!(cli.format, Format::Json, "{line}");
        let Command::List(args) = cli.command else { panic!("{line} is a list") };
        assert_eq!(args.limit, 5, "{line}");
    }
}

#[test]
fn every_documented_form_is_accepted() {
    for line in [
        "import a b --jobs 4 --manifest m --label k=v --campaign 018f0000-0000-7000-8000-000000000001",
        "import a --source inbox",
        "export dir",
        "export --mbox file",
        "put - --content --media-type text/plain --file-name x --id i --hold --pin cold --retain-until +30d",
        "get id -o f --range 0-9",
        "get id --part 2 --no-touch",
        "stat id --content",
        "list --all --from 2026-01-01 --until +1d --message-id <a@b>",
        "rm a b c",
        "update id --hold --retain-until 2030-01-01T00:00:00Z --pin archive --label a=b --unlabel c",
        "update id --no-hold --no-retention --unpin",
        "stats --by day",
        "migrate --dry-run --as-of +400d --to archive --limit 500MB --rate 20MB/s",
        "migrate --wait",
        "compact --dry-run --threshold 40 --limit 500MB --rate 20MB/s",
        "erase a b --content --dry-run",
        "erase --lead 018bcfe7-63d4-7fe7-bf30-7c4e099eef2c --later",
        "erase --everything",
        "erase",
        "explain id",
        "similar id --limit 5 --score-min 70",
        "tenant create acme",
        "tenant ls",
        "policy show",
        "policy set --warm-after 7d --skip-warm-from never",
        "policy clear",
        "dict train",
        "dict ls",
        "sweep --grace 0 --dry-run",
        "jobs",
        "demo --messages 10 --seed 3 --keep d",
        "completions bash",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn nonsense_is_wrong_usage() {
    for line in [
        "",
        "fly",
        "import",
        "import a --jobs 0",
        "import a --label nothing",
        "import a --campaign 7",
        "export",
        "export dir --mbox file",
        "put f --media-type text/plain",
        "get id --range 9-0",
        "get id --content --part 1",
        "list --limit 0",
        "list --all --limit 3",
        "list --content --message-id x",
        "rm",
        "update id --hold --no-hold",
        "update id --pin lukewarm",
        "update id --pin hot --unpin",
        "stats --by moon",
        "migrate --as-of yesterday",
        "migrate --limit plenty",
        "policy set",
        "compact --threshold 0",
        "compact --threshold 101",
        "erase a --everything",
        "erase --lead someone",
        "erase a --dry-run --later",
        "sweep --grace soon",
        "demo --messages 0",
        "--server http://h:1 --data-dir d stats",
        "stats --format xml",
    ] {
        match parse(line) {
            Ok(_) => panic!("'{line}' was accepted"),
            Err(error) => assert_eq!(error.exit_code(), 2, "{line}"),
        }
    }
}

#[test]
fn some_combinations_are_refused_before_anything_is_opened() {
    let Command::Import(args) = parse("import a b --source s").unwrap().command else { panic!("an import") };
    assert!(args.check().is_err());
    let Command::Update(args) = parse("update id").unwrap().command else { panic!("an update") };
    assert!(args.check().is_err());
    let Command::Get(args) = parse("get id").unwrap().command else { panic!("a get") };
    assert!(args.check(true).is_err());
    assert!(args.check(false).is_ok());
}
