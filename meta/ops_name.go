package meta

// nameOps lists the operations on names, attributes and data.
func nameOps() []entry {
	return []entry{
		of(func() *Make { return new(Make) }),
		of(func() *Link { return new(Link) }),
		of(func() *Unlink { return new(Unlink) }),
		of(func() *Rmdir { return new(Rmdir) }),
		of(func() *Rename { return new(Rename) }),
		of(func() *SetAttr { return new(SetAttr) }),
		of(func() *SetXattr { return new(SetXattr) }),
		of(func() *RemoveXattr { return new(RemoveXattr) }),
		of(func() *Commit { return new(Commit) }),
		of(func() *Punch { return new(Punch) }),
		of(func() *Allocate { return new(Allocate) }),
		of(func() *Clone { return new(Clone) }),
		of(func() *Lock { return new(Lock) }),
		of(func() *Unlock { return new(Unlock) }),
		of(func() *GetLock { return new(GetLock) }),
		of(func() *SetPolicy { return new(SetPolicy) }),
		of(func() *GetPolicy { return new(GetPolicy) }),
		of(func() *Reap { return new(Reap) }),
		of(func() *Retag { return new(Retag) }),
		of(func() *Lookup { return new(Lookup) }),
		of(func() *GetAttr { return new(GetAttr) }),
		of(func() *ReadDir { return new(ReadDir) }),
		of(func() *ReadLink { return new(ReadLink) }),
		of(func() *GetXattr { return new(GetXattr) }),
		of(func() *ListXattr { return new(ListXattr) }),
		of(func() *Extents { return new(Extents) }),
		of(func() *StatFS { return new(StatFS) }),
		of(func() *Open { return new(Open) }),
		of(func() *Release { return new(Release) }),
		of(func() *Seek { return new(Seek) }),
		of(func() *Path { return new(Path) }),
		of(func() *Counts { return new(Counts) }),
	}
}
