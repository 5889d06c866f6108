/** `wochat doctor`: looks at everything that a server needs, beside a running one or before the first start. */

import { type DoctorSettings, type Finding, fail, ok } from './finding.ts'
import { checkDataFolder, checkDisk, isServerRunning } from './folder-checks.ts'
import { checkIssuers, checkKeyring, checkTls } from './key-checks.ts'
import { checkPorts } from './port-checks.ts'
import { checkStore } from './store-checks.ts'

export { type DoctorSettings, FINDING_MARKS, type Finding } from './finding.ts'

const NODE_MAJOR_MIN = 24

/** Changes nothing; a check that fails is a finding, never a rejection. */
export async function diagnose(settings: DoctorSettings, now: () => number = Date.now): Promise<Finding[]> {
  let running = false
  const checks: [subject: string, check: () => Finding[] | Promise<Finding[]>][] = [
    ['Node', () => [checkNode(process.versions.node)]],
    [
      `data folder ${settings.dataDir}`,
      () => {
        running = isServerRunning(settings.dataDir)
        return checkDataFolder(settings.dataDir, running)
      },
    ],
    ['disk', () => checkDisk(settings)],
    ['ports', () => checkPorts(settings, running)],
    ['certificate', () => checkTls(settings, now())],
    ['signing key', () => checkKeyring(settings.dataDir, now())],
    ['issuers', () => checkIssuers(settings.issuers)],
    ['store', () => checkStore(settings.dataDir, now())],
  ]
  const findings: Finding[] = []
  for (const [subject, check] of checks) findings.push(...(await runCheck(subject, check)))
  return findings
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
