/**
 * Makes sure that the outside tools of the tests are there, before the first test runs (`pretest`).
 *
 * The suite drives the server with the stock `mosquitto_sub` and `mosquitto_pub`. Missing, they are installed from
 * Debian when this runs as root; otherwise it says what to do. Under CI=true a tool that stays missing is a
 * failure, so that no test is skipped unnoticed.
 */
import { spawnSync } from 'node:child_process'

const TOOLS = ['mosquitto_sub', 'mosquitto_pub'] as const
const DEBIAN_PACKAGE = 'mosquitto-clients'
const INSTALL_TIMEOUT_MS = 300_000

function isThere(tool: string): boolean {
  return spawnSync(tool, ['--help'], { stdio: 'ignore' }).error === undefined
}

function missingTools(): string[] {
  return TOOLS.filter((tool) => !isThere(tool))
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

function install(): void {
  if (!canInstall()) return
  console.log(`installing ${DEBIAN_PACKAGE} for the tests`)
  // Without lists of packages the install finds nothing; a failed update may still leave usable lists.
  aptGet('update')
  aptGet('install', '-y', '--no-install-recommends', DEBIAN_PACKAGE)
}

if (missingTools().length > 0) install()
const missing = missingTools()
if (missing.length > 0) {
  console.error(
    `The tests need ${missing.join(' and ')}. Install them, for example with: sudo apt-get install ${DEBIAN_PACKAGE}`,
  )
  process.exitCode = 1
}
