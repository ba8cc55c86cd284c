// SPDX-License-Identifier: MIT
// hello.js PORT [once]: listens, once: and ends.
const server = require('net').createServer((connection) => connection.end('hello\n'));

server.on('error', (error) => console.log(`${error.syscall}: ${error.code}`));
server.listen(Number(process.argv[2]), () => {
	console.log('listens');
	if (process.argv[3] === 'once')
		server.close();
});
