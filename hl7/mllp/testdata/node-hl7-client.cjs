// Three messages by node-hl7-client, each after the answer to the one before, and one that gets AE:
// node node-hl7-client.cjs MODULES PORT [CA CERT KEY]
const { readFileSync } = require('fs')
const { Client, Message } = require(process.argv[2] + '/node-hl7-client')
const [port, ca, cert, key] = process.argv.slice(3)
const tls = ca && { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) }
const client = new Client({ host: '127.0.0.1', ...(tls && { tls }) })
const left = ['N1', 'N2', 'N3', 'BAD']
const send = async () => {
  const id = left.shift()
  const type = id === 'BAD' ? 'SIU^S12^SIU_S12' : 'ADT^A08^ADT_A01'
  await connection.sendMessage(new Message({
    text: `MSH|^~\\&|NODE|HOSP|PINWARD|BOX|20260101120000||${type}|${id}|P|2.5.1\rPID|1||42^^^RIV^MR`
  }))
}
const connection = client.createConnection({ port: Number(port) }, async answer => {
  const m = answer.getMessage()
  console.log(m.get('MSA.1').toString(), m.get('MSA.2').toString())
  if (left.length > 0) return send()
  process.exit(0)
})
connection.on('connect', send)
connection.on('client.error', e => { console.error(String(e)); process.exit(1) })
