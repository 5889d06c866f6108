"""
OpenStack Swift on one disk, with its S3 face: a proxy and the servers of accounts, containers and objects behind it,
each a process on a free loopback port. Prints the port of the proxy when that takes requests; ends with the proxy.

    python3 -I s3-swift.py FOLDER REGION ACCOUNT:USER SECRET

FOLDER is empty, in a file system with extended attributes; who starts this removes it. ACCOUNT:USER is the access key.
"""
import ctypes
import os
import signal
import sys

import eventlet
from swift.common import ring, utils, wsgi

FOLDER, REGION, ACCESS_KEY, SECRET = sys.argv[1:]
ACCOUNT, USER = ACCESS_KEY.split(':')
DISK = 'disk'
PARTITION_POWER = 1
REPLICAS = 1
PR_SET_PDEATHSIG = 1

ANY_SERVER = f"""
[DEFAULT]
swift_dir = {FOLDER}
devices = {FOLDER}/disks
mount_check = false
fallocate_reserve = 0
log_level = WARNING
# Nobody reads there; warnings go to the console too.
log_udp_host = 127.0.0.1
log_udp_port = 9
"""

STORAGE_SERVER = """
[app:main]
use = egg:swift#%s
"""

PROXY_SERVER = f"""
[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# A disk that is back is used at once.
error_suppression_interval = 0

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:cache]
paste.filter_factory = __main__:make_cache

[filter:s3api]
use = egg:swift#s3api
location = {REGION}

[filter:tempauth]
use = egg:swift#tempauth
user_{ACCOUNT}_{USER} = {SECRET} .admin

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo
"""


class Cache:
    """What the proxy asks of memcached, within its own process."""

    def __init__(self):
        self.values = {}

    def set(self, key, value, **_):
        self.values[key] = value

    def get(self, key, **_):
        return self.values.get(key)

    def delete(self, key, **_):
        self.values.pop(key, None)


def make_cache(_, **__):
    cache = Cache()

    def with_cache(app):
        def call(env, start_response):
            env['swift.cache'] = cache
            return app(env, start_response)

        return call

    return with_cache


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, 'w') as file:
        file.write(text)
    return path


def write_ring(kind, port):
    """Tells the proxy where the server of this kind is."""
    builder = ring.RingBuilder(PARTITION_POWER, REPLICAS, 0)
    builder.add_dev({'region': 1, 'zone': 1, 'weight': 1, 'ip': '127.0.0.1', 'port': port, 'device': DISK})
    builder.rebalance()
    builder.get_ring().save(os.path.join(FOLDER, f'{kind}.ring.gz'))


def serve(kind, socket, settings, on_ready=None):
    conf = wsgi.appconfig(write(f'{kind}.conf', ANY_SERVER + settings))
    logger = utils.get_logger(conf, kind, log_to_console=True)
    wsgi.run_server(conf, logger, socket, ready_callback=on_ready)


def main():
    os.makedirs(os.path.join(FOLDER, 'disks', DISK))
    write('swift.conf', '[swift-hash]\nswift_hash_path_suffix = any\n')
    utils.set_swift_dir(FOLDER)
    utils.eventlet_monkey_patch()
    for kind in ['account', 'container', 'object']:
        socket = eventlet.listen(('127.0.0.1', 0))
        write_ring(kind, socket.getsockname()[1])
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            sys.exit(serve(kind, socket, STORAGE_SERVER % kind))
        socket.close()
    socket = eventlet.listen(('127.0.0.1', 0))
    serve('proxy', socket, PROXY_SERVER, lambda: print(socket.getsockname()[1], flush=True))


main()
