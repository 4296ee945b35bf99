"""aws-cli and rclone with their defaults."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20


def run(*command: str, **environment: str) -> str:
    # What the machine says about AWS is not for these.
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**own, "AWS_EC2_METADATA_DISABLED": "true", **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tree(folder: Path) -> Path:
    (folder / "sub dir").mkdir(parents=True)
    (folder / "small.txt").write_text("small")
    (folder / "sub dir" / "empty").write_bytes(b"")
    (folder / "large.bin").write_bytes(os.urandom(MIB) * 12)
    return folder


def same(one: Path, other: Path) -> bool:
    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return contents(one) == contents(other)


def test_aws_cli(backend, bucket, tmp_path):
    aws = shutil.which("aws", path=str(Path(sys.executable).parent)) or "aws"
    keys = {
        "AWS_ACCESS_KEY_ID": backend.env["S3_PROTOCOL_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": backend.env["S3_PROTOCOL_ACCESS_KEY_SECRET"],
        "AWS_DEFAULT_REGION": "local",
    }

    def s3(*arguments: str) -> str:
        return run(aws, "--endpoint-url", backend.endpoint, "s3", *arguments, **keys)

    source = tree(tmp_path / "source")
    s3("sync", str(source), f"s3://{bucket}/tree", "--only-show-errors")
    assert "large.bin" in s3("ls", f"s3://{bucket}/tree/")
    s3("cp", f"s3://{bucket}/tree/small.txt", f"s3://{bucket}/copy.txt", "--only-show-errors")
    s3("sync", f"s3://{bucket}/tree", str(tmp_path / "back"), "--only-show-errors")
    assert same(source, tmp_path / "back")
    s3("rb", f"s3://{bucket}", "--force")


def test_rclone(backend, bucket, tmp_path):
    remote = (
        f":s3,provider=Other,access_key_id={backend.env['S3_PROTOCOL_ACCESS_KEY_ID']},"
        f"secret_access_key={backend.env['S3_PROTOCOL_ACCESS_KEY_SECRET']},region=local,"
        f"endpoint='{backend.endpoint}':{bucket}"
    )
    source = tree(tmp_path / "source")
    run("rclone", "--config", "", "copy", str(source), f"{remote}/tree")
    run("rclone", "--config", "", "check", str(source), f"{remote}/tree")
    run("rclone", "--config", "", "move", f"{remote}/tree", f"{remote}/moved")
    run("rclone", "--config", "", "sync", f"{remote}/moved", str(tmp_path / "back"))
    assert same(source, tmp_path / "back")
    run("rclone", "--config", "", "purge", f"{remote}/moved")
