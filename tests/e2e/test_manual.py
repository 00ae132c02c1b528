"""Issue 7, part 8: the manual and the completion of the shells say what the programs say, no more and no less."""

import os
import pty
import re
import select
import subprocess
import time

import muster
import pytest
from muster import run

pytestmark = pytest.mark.release_only  # a sanitizer's build has the same words

MAN = muster.BUILD / "docs/man"
PAGES = sorted(MAN.glob("man*/*"))
PROGRAMS = muster.PROGRAMS / "src/cmd"
COMPLETION = muster.ROOT / "packaging/completion"


def rendered(name):
    """A page as a reader sees it, with lines as long as they are: [(heading, [lines])]."""
    (path,) = MAN.glob(f"man*/{name}")
    text = run("man", "-l", path, env={**os.environ, "MANWIDTH": "9999", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"}).stdout
    sections = []
    for line in run("col", "-bx", input=text).stdout.decode().splitlines()[1:-1]:
        if re.match(r" {0,3}\S", line):
            sections.append((line.strip(), []))
        elif sections:
            sections[-1][1].append(line.strip())
    return sections


def help_of(program, *words):
    return run(PROGRAMS / program, *words, "--help", env={**os.environ, "ARGP_HELP_FMT": "rmargin=9999"}).stdout.decode()


def options_in_help(text):
    """{"--name=VALUE": what it is for}, without argp's own; behind --usage are examples."""
    found = re.findall(r"^ {2,6}(?:-\S, )?(--[\w-]+\S*) +(.*)$", text.split("      --usage")[0], re.M)
    return {name: text for name, text in found if name != "--help"}


def options_in_page(lines):
    terms = [re.fullmatch(r"(?:-\S, )?(--[\w-]+\S*)", line) for line in lines]
    return {match[1]: lines[i + 1] for i, match in enumerate(terms) if match and i + 1 < len(lines) and lines[i + 1]}


def commands(program):
    """What the overview lists."""
    found = re.findall(r"^  ([a-z].{0,19})", help_of(program), re.M)
    return [re.split("  ", words)[0].strip() for words in found]


def plain(text):
    """Without what is bold on one side and quoted on the other, and the hyphens that break no line here."""
    return text.replace("`", "").replace("\N{HYPHEN}", "-").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def test_every_command_and_option_is_in_the_manual():
    listed = commands("muster")
    assert len(listed) > 50
    sections = {}
    for page in {words.split()[0] for words in listed} - {"agent"}:
        sections |= {heading: lines for heading, lines in rendered(f"muster-{page}.1") if heading.startswith("muster ")}
    for words in commands("muster-agent"):
        listed.append(f"-agent {words}")
    sections |= {heading: lines for heading, lines in rendered("muster-agent.1") if heading.startswith("muster-agent ")}
    assert sections.keys() == {f"muster{w}" if w[0] == "-" else f"muster {w}" for w in listed if w != "agent"}
    for heading, lines in sections.items():
        program, *words = heading.split()
        text = help_of(program, *words)
        said, shown = options_in_help(text), options_in_page(lines)
        assert shown.keys() == said.keys(), heading
        for name, meaning in said.items():
            assert plain(shown[name]) == plain(meaning), (heading, name)
        assert plain(text.splitlines()[-1]) in plain(" ".join(lines)), heading


def test_the_overview_is_in_the_manual():
    overview = help_of("muster")
    sections = dict(rendered("muster.1"))
    for words in commands("muster"):
        assert words in sections["COMMANDS"], words
    said = set(re.findall(r"^  (--[a-z-]+)", overview, re.M))
    assert said == {line.split()[0] for line in sections["GLOBAL OPTIONS"] if line.startswith("--")} and len(said) >= 9
    names = set(re.findall(r"MUSTER_[A-Z_]+", overview))
    assert names <= set(re.findall(r"MUSTER_[A-Z_]+", " ".join(sections["ENVIRONMENT"]))) and len(names) >= 5


def test_every_key_is_in_the_manual(fresh):
    text = (fresh().dir / "muster.conf").read_text()
    found, profiles = {}, False
    for line in text.splitlines():
        if section := re.fullmatch(r"\[(\w+)\]", line):
            found[line] = keys = []
        elif line.startswith("; Profiles:"):
            found["[profile NAME]"] = keys = []
        elif key := re.match(r"(?:(\w+) = |;   (\w+)  )", line):
            if not profiles:
                keys.append(key[1] or key[2])
        profiles = profiles or line.startswith("[profile ")
    shown = {heading: lines for heading, lines in rendered("muster.conf.5") if heading.startswith("[")}
    assert shown.keys() == found.keys() and len(found) > 8
    for section, keys in found.items():
        assert keys == [line for line in shown[section] if re.fullmatch(r"\w+", line)], section


def test_every_option_of_the_plugin_is_in_the_manual():
    known = re.findall(r'\{SECTION, "(\w+)"', (muster.ROOT / "src/plugin/options.c").read_text())
    shown = [line.split()[0] for line in dict(rendered("mosquitto_muster.5"))["OPTIONS"] if line.startswith("plugin_opt_")]
    assert shown == [f"plugin_opt_{name}" for name in known] and len(known) >= 7


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_pages_are_well_formed(page):
    said = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
    assert said.stderr == b""
    assert re.match(rb"[\w.-]+( , [\w.-]+)* - \S", run("lexgrog", page).stdout.split(b'"')[1])


# ---- completion ---------------------------------------------------------------------------------------------------


def in_bash(line):
    """What bash offers at the end of LINE, by the function that it was told to ask."""
    words = line.split(" ")
    return run("bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); eval "$(complete -p muster | sed '
               '"s/.*-F \\([^ ]*\\).*/f=\\1/")"; $f "$1" "${COMP_WORDS[COMP_CWORD]}"; printf "%s\\n" "${COMPREPLY[@]}"', "bash",
               COMPLETION / "muster.bash", *words, env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
               ).stdout.decode().split()


def test_bash_knows_every_command():
    listed = commands("muster")
    assert set(in_bash("muster ")) == {words.split()[0] for words in listed}
    for group in {words.split()[0] for words in listed if " " in words}:
        seconds = {words.split()[1] for words in listed if words.startswith(f"{group} ")}
        assert set(in_bash(f"muster --dir /nowhere {group} ")) == seconds, group
    assert set(in_bash("muster ca root ")) == {"export", "remove", "retire", "rollover"}
    assert set(in_bash("muster-agent ")) == set(commands("muster-agent"))


@pytest.mark.parametrize("words", ["serve", "device register", "ca root export", "broker config"])
def test_bash_knows_every_option(words):
    everywhere = set(re.findall(r"^  (--[a-z-]+)", help_of("muster"), re.M))
    own = {name.split("=")[0] for name in options_in_help(help_of("muster", *words.split()))}
    assert set(in_bash(f"muster {words} --")) - {"--help", "--usage"} == own | everywhere


def test_bash_completes_values(home, tmp_path):
    (tmp_path / "pump.csr").touch()
    assert in_bash(f"muster device register --csr {tmp_path}/p") == [f"{tmp_path}/pump.csr"]
    assert in_bash(f"muster --ca {tmp_path}/p") == [f"{tmp_path}/pump.csr"]
    assert in_bash(f"muster device register --csr = {tmp_path}/p") == [f"{tmp_path}/pump.csr"]
    assert in_bash("muster device register --type p") == []
    id = home.json("device", "register", "--name", "x", "--type", "t", "--key", "ec-p256")["id"]
    assert in_bash(f"muster --dir {home.dir} device show {id[:4]}") == [id]
    assert in_bash("muster --dir /nowhere device show 1") == []


def typed(shell, setup, line):
    """What a shell on a terminal shows when LINE and a tab were typed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(f"/bin/{shell[0]}", list(shell), {"TERM": "dumb", "HOME": "/nonexistent", "PS1": "% ",
                                                    "PATH": f"{PROGRAMS}:/usr/bin:/bin"})
    shown = b""

    def until(pattern):
        nonlocal shown
        deadline = time.monotonic() + 20 * muster.PATIENCE
        while not re.search(pattern, shown):
            assert time.monotonic() < deadline, shown
            if select.select([fd], [], [], 0.1)[0]:
                shown += os.read(fd, 65536)
    try:
        os.write(fd, f"{setup}; echo re''ady\n".encode())
        until(rb"\nready\r?\n")
        shown = b""
        os.write(fd, line.encode() + b"\t")
        until(rb"register(.|\r|\n)*resume(.|\r|\n)*revoke")
        return shown.decode()
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def test_a_tab_in_bash():
    typed(("bash", "--norc", "--noprofile"), f"bind 'set show-all-if-ambiguous on'; source {COMPLETION}/muster.bash", "muster dev\tre")


def test_a_tab_in_zsh():
    shown = typed(("zsh", "-f"), f"fpath=({COMPLETION} $fpath); autoload -U compinit; compinit -D -u", "muster dev\tre")
    assert "take a device's rights for good" in shown
