/** A fan-out worker as a process: `node fanout-worker-process.ts <redis url> <name>`. */
import { openWorker } from './fanout-parts.ts'

const [url, name] = process.argv.slice(2)
await openWorker(url!, name!)
console.log('started')
