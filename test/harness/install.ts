/**
 * Makes sure that the outside tools of the tests are there, before the first test runs (`pretest`).
 *
 * The suite drives the server with the stock `mosquitto_sub` and `mosquitto_pub`, and starts real databases and
 * proxies. Missing, they are installed from Debian when this runs as root; otherwise it says what to do. Under
 * CI=true a tool that stays missing is a failure, so that no test is skipped unnoticed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findPostgresFolder } from './postgres-programs.ts'

type Tool = { debianPackage: string; isThere: () => boolean }

/** Servers are in a folder of the superuser, which is not in everybody's PATH. */
const FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin']
const NGINX_STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'
const SWIFT_S3 = '/usr/lib/python3/dist-packages/swift/common/middleware/s3api/s3api.py'
const INSTALL_TIMEOUT_MS = 600_000

const program = (name: string) => () => FOLDERS.some((folder) => existsSync(`${folder}/${name}`))

const TOOLS: readonly Tool[] = [
  {
    debianPackage: 'mosquitto-clients',
    isThere: () => program('mosquitto_sub')() && program('mosquitto_pub')(),
  },
  { debianPackage: 'postgresql', isThere: () => findPostgresFolder() !== undefined },
  { debianPackage: 'redis-server', isThere: program('redis-server') },
  { debianPackage: 'redis-sentinel', isThere: program('redis-sentinel') },
  { debianPackage: 'haproxy', isThere: program('haproxy') },
  { debianPackage: 'nginx', isThere: program('nginx') },
  { debianPackage: 'libnginx-mod-stream', isThere: () => existsSync(NGINX_STREAM_MODULE) },
  // Without the packages of its servers: the tests start those themselves.
  { debianPackage: 'python3-swift', isThere: () => existsSync(SWIFT_S3) },
]

function missingPackages(): string[] {
  return TOOLS.filter((tool) => !tool.isThere()).map((tool) => tool.debianPackage)
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0
}

function aptGet(...args: string[]): boolean {
  const { status } = spawnSync('apt-get', args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: INSTALL_TIMEOUT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
}

function install(packages: readonly string[]): void {
  if (!canInstall()) return
  console.log(`installing ${packages.join(', ')} for the tests`)
  // Without lists of packages the install finds nothing; a failed update may still leave usable lists.
  aptGet('update')
  aptGet('install', '-y', '--no-install-recommends', ...packages)
}

if (missingPackages().length > 0) install(missingPackages())
const missing = missingPackages()
if (missing.length > 0) {
  console.error(`The tests need more of Debian. Install it with: sudo apt-get install ${missing.join(' ')}`)
  process.exitCode = 1
}
