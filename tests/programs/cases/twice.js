// SPDX-License-Identifier: MIT
// twice.js PORT: a cluster worker that listens twice on one port.
const cluster = require('cluster');
const net = require('net');

const port = Number(process.argv[2]);
cluster.schedulingPolicy = cluster.SCHED_NONE;
if (cluster.isPrimary) {
	cluster.fork().on('exit', (status) => process.exit(status));
} else {
	net.createServer().listen(port, '127.0.0.1', () => {
		const second = net.createServer().listen(port, '127.0.0.1', () => end('listens'));
		second.on('error', (error) => end(`${error.syscall}: ${error.code}`));
	});
}

function end(said) {
	console.log(said);
	process.exit(0);
}
