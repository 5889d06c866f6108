/** `wochat doctor`: looks at everything that a server needs, beside a running one or before the first start. */

import { databasePlace } from '../store-places.ts'
import { type DoctorSettings, type Finding, fail, ok } from './finding.ts'
import { checkDataFolder, checkDisk, isServerRunning } from './folder-checks.ts'
import { checkIssuers, checkKeyring, checkTls } from './key-checks.ts'
import { checkPorts } from './port-checks.ts'
import { checkRedis } from './redis-checks.ts'
import { checkStore } from './store-checks.ts'

export { type DoctorSettings, FINDING_MARKS, type Finding } from './finding.ts'

const NODE_MAJOR_MIN = 24

/** Changes nothing; a check that fails is a finding, never a rejection. */
export async function diagnose(settings: DoctorSettings, now: () => number = Date.now): Promise<Finding[]> {
  const checks: Check[] = [
    ['Node', () => [checkNode(process.versions.node)]],
    ...(settings.databaseUrl ? clusterChecks(settings) : folderChecks(settings, now)),
    ['certificate', () => checkTls(settings, now())],
    ['issuers', () => checkIssuers(settings.issuers)],
  ]
  const findings: Finding[] = []
  for (const [subject, check] of checks) findings.push(...(await runCheck(subject, check)))
  return findings
}

type Check = [subject: string, check: () => Finding[] | Promise<Finding[]>]

/** Of one process with its data folder. */
function folderChecks(settings: DoctorSettings, now: () => number): Check[] {
  let running = false
  return [
    [
      `data folder ${settings.dataDir}`,
      () => {
        running = isServerRunning(settings.dataDir)
        return checkDataFolder(settings.dataDir, running)
      },
    ],
    ['disk', () => checkDisk(settings)],
    ['ports', () => checkPorts(settings, running)],
    ['signing key', () => checkKeyring(settings.dataDir, now())],
    ['store', () => checkStore(settings.dataDir, now())],
  ]
}

/** Of a node: nothing of it is in its folder. Whether a node runs here is not known, so that its ports are not looked at. */
function clusterChecks({ databaseUrl, redisUrl, databaseConnectionsMax = 10 }: DoctorSettings): Check[] {
  return [
    ['PostgreSQL', () => askDatabase(databaseUrl!.reveal(), databaseConnectionsMax)],
    ['Redis', () => checkRedis(redisUrl?.reveal() ?? '')],
  ]
}

async function askDatabase(url: string, connectionsMax: number): Promise<Finding[]> {
  // Only here: a doctor of one process need not load the database's driver.
  const { openPool } = await import('../store/postgres/connections.ts')
  const { checkDatabase } = await import('./database-checks.ts')
  const pool = openPool({ url, connectionsMax: 1, applicationName: 'wochat doctor' })
  try {
    return await checkDatabase(pool, databasePlace(url), connectionsMax)
  } finally {
    await pool.end()
  }
}

async function runCheck(subject: string, check: () => Finding[] | Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check()
  } catch (error) {
    return [fail(`${subject}: ${(error as Error).message.replaceAll('\n', ' ')}`)]
  }
}

export function checkNode(version: string): Finding {
  const isNewEnough = Number(version.split('.')[0]) >= NODE_MAJOR_MIN
  return isNewEnough
    ? ok(`Node ${version}`)
    : fail(`Node ${version} is too old; install ${NODE_MAJOR_MIN} or newer, or run npm ci, which brings one`)
}
