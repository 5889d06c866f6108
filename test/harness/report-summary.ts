/** Prints "N passed, N failed" from the JSON report of vitest; fails if there is no report or nothing ran. */
import { readFileSync } from 'node:fs'

type Report = {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numFailedTestSuites: number
  testResults: { name: string; status: string; message: string; assertionResults: unknown[] }[]
}

const report = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Report
// A file that could not even be loaded has no tests of its own to fail; it counts as one.
const brokenFiles = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
)
for (const file of brokenFiles) console.log(`could not run: ${file.name}`)
if (report.numPendingTests > 0) console.log(`${report.numPendingTests} skipped`)
const failed = report.numFailedTests + brokenFiles.length
console.log(`${report.numPassedTests} passed, ${failed} failed`)
if (failed > 0 || report.numPassedTests === 0 || report.numPendingTests > 0) process.exitCode = 1
