ZeroParamStatus = None
