package meta

// clusterOps lists the operations on the cluster: nodes, stores, chunks, sessions, settings.
func clusterOps() []entry {
	return []entry{
		of(func() *OpenSession { return new(OpenSession) }),
		of(func() *CloseSession { return new(CloseSession) }),
		of(func() *ListSessions { return new(ListSessions) }),
		of(func() *AddNode { return new(AddNode) }),
		of(func() *UpdateNode { return new(UpdateNode) }),
		of(func() *RemoveNode { return new(RemoveNode) }),
		of(func() *ListNodes { return new(ListNodes) }),
		of(func() *AddStore { return new(AddStore) }),
		of(func() *UpdateStore { return new(UpdateStore) }),
		of(func() *AddToken { return new(AddToken) }),
		of(func() *RevokeToken { return new(RevokeToken) }),
		of(func() *ListTokens { return new(ListTokens) }),
		of(func() *PutSetting { return new(PutSetting) }),
		of(func() *GetSetting { return new(GetSetting) }),
		of(func() *HealBegin { return new(HealBegin) }),
		of(func() *HealEnd { return new(HealEnd) }),
		of(func() *DropBegin { return new(DropBegin) }),
		of(func() *DropEnd { return new(DropEnd) }),
		of(func() *ReportBad { return new(ReportBad) }),
		of(func() *ForgetChunk { return new(ForgetChunk) }),
		of(func() *ListChunks { return new(ListChunks) }),
		of(func() *GetChunk { return new(GetChunk) }),
		of(func() *Bootstrap { return new(Bootstrap) }),
		of(func() *RaiseIncarnation { return new(RaiseIncarnation) }),
		of(func() *SweepChunks { return new(SweepChunks) }),
		of(func() *ListIntents { return new(ListIntents) }),
		of(func() *FindExtents { return new(FindExtents) }),
		of(func() *Repack { return new(Repack) }),
	}
}
