"""certificates.py - authorities and certificates for tests, made by openssl(1) in a directory of
their own, and the Redis and connections that use them."""
import os
import shutil
import ssl
import subprocess
import tempfile

HERE = "DNS:localhost,IP:127.0.0.1"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*args):
    done = subprocess.run(["openssl", *args], capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()


class Certificate:
    def __init__(self, path):
        self.cert, self.key = path + ".crt", path + ".key"

    def replace(self, other):
        """What a renewal does: the names stay, what they name is new at once."""
        for mine, its in ((self.cert, other.cert), (self.key, other.key)):
            shutil.copyfile(its, mine + ".new")
            os.rename(mine + ".new", mine)

    def expires(self):
        return ssl.cert_time_to_seconds(
            ssl._ssl._test_decode_cert(self.cert)["notAfter"])  # pylint: disable=protected-access


class Authority(Certificate):
    """Signs certificates; also one that is not trusted by anybody."""

    def __init__(self, w=None, name="Test CA", directory=None):
        self.dir = directory or tempfile.mkdtemp(prefix="larder-test-ca-")
        super().__init__(os.path.join(self.dir, "ca"))
        openssl("req", "-x509", *KEY, "-subj", f"/CN={name}", "-days", "30", "-keyout", self.key,
                "-out", self.cert)
        if w is not None:
            w.add(self)

    def issue(self, name, names=HERE, days=30):
        made = Certificate(os.path.join(self.dir, name))
        request, extra = made.cert + ".csr", made.cert + ".ext"
        with open(extra, "w") as f:
            f.write(f"subjectAltName={names}\n" if names else "")
        openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days",
                str(days), "-extfile", extra, "-out", made.cert)
        return made

    def self_signed(self, name, names=HERE):
        made = Certificate(os.path.join(self.dir, name))
        openssl("req", "-x509", *KEY, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
                "-days", "30", "-keyout", made.key, "-out", made.cert)
        return made

    def stop(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        return []

    def context(self, own=None, check=True):
        """What a client of python needs to trust it."""
        context = ssl.create_default_context(cafile=self.cert)
        if own:
            context.load_cert_chain(own.cert, own.key)
        if not check:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def redis_options(port, ca, own, *more):
    """For redis-server: TLS on that port; no client certificates unless `more` asks for them."""
    options = ["--tls-port", str(port), "--tls-cert-file", own.cert, "--tls-key-file", own.key,
               "--tls-ca-cert-file", ca.cert]
    return options + (list(more) if "--tls-auth-clients" in more
                      else ["--tls-auth-clients", "no", *more])
