package node

import (
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/volume/fileapi"
	"github.com/honeyant/honeyant/volume/fileapi/server"
)

// fileRoute gives the volume's files to other processes of this machine that may open the
// command socket, above all the gateway. Closing the mounts gives back the locks that they hold.
func (n *Node) fileRoute() admin.Route {
	n.mounts.files = server.New(n.mounts.use)
	return admin.Route{Pattern: fileapi.Prefix, Serve: n.mounts.files.ServeHTTP}
}
