//! Messages of yt-dlp, its extractors, and the sites that these quote.

/// Messages that follow `ERROR: [site] id: `, unless warnings precede it.
pub(super) const SAID: &[(u16, &str, &[&str])] = &[
    (
        403,
        "address-refused",
        &["Unable to download webpage: [Errno 2] Connection not allowed by ruleset (caused by \
         ProxyError('[Errno 2] Connection not allowed by ruleset'))"],
    ),
    (
        500,
        "resolver-failed",
        &[
            "[Errno 28] No space left on device",
            "PhantomJS not found, Please download it from https://phantomjs.org/download.html",
            "pycryptodomex not found. Please install",
            "This request has been blocked due to its TLS fingerprint. Install a required impersonation \
         dependency if possible, or else if you are okay with compromising security, try replacing \
         \"https:\" with \"http:\" in the input URL.",
        ],
    ),
    (
        503,
        "site-busy",
        &[
            "Sign in to confirm you\u{2019}re not a bot. Use --cookies-from-browser or --cookies for \
         the authentication. See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ  for how",
            "Sign in to confirm you're not a bot. This helps protect our community",
            "SIGN IN TO CONFIRM YOU\u{2019}RE NOT A BOT",
            "This request was detected as a bot",
            "You are suspected as a bot. Wait, or pass the captcha on the site and provide cookies",
            "This video is unavailable. YouTube is requiring a captcha challenge before playback",
            "This content isn't available, try again later. The current session has been rate-limited \
         by YouTube for up to an hour. It is recommended to use `-t sleep` to add a delay",
            "This content isn\u{2019}t available, try again later",
            "An error occurred. Please try again later. (Playback ID: 3Vx)",
            "Your IP address is blocked from accessing this post",
            "Your IP is blocked",
            "All player responses are invalid. Your IP is likely being blocked by Youtube",
            "Your IP address is unable to access the Reddit API",
            "Request is blocked by server (412), please wait and try later.",
            "Request is rejected by server (352)",
            "You have exceeded the rate limit. Try again later",
            "You are rate-limited. Try again later.",
            "The webpage request was redirected to the login page. You have exceeded the rate-limit for \
         accessing posts anonymously",
            "Fresh cookies (not necessarily logged in) are needed",
            "Unable to download webpage: HTTP Error 429: Too Many Requests (caused by <HTTPError 429: \
         Too Many Requests>)",
            "Unable to download API page: HTTP Error 429: Unknown",
            "Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again with \
         --extractor-args \"generic:impersonate\"",
            "YandexMusic has considered yt-dlp requests automated and asks you to solve a CAPTCHA.",
            "Udemy asks you to solve a CAPTCHA. Login with browser, solve CAPTCHA, then export cookies",
            "Service temporarily unavailable",
            "There is an error on server-side. Try again later.",
        ],
    ),
    (
        403,
        "private",
        &[
            "Private video. Sign in if you've been granted access to this video. Use --cookies",
            "Video unavailable. This video is private",
            "Please sign in. Use --cookies-from-browser or --cookies for the authentication",
            "Sign in to confirm your age. This video may be inappropriate for some users.",
            "This video is age-restricted and only available on YouTube",
            "Join this channel to get access to members-only content like this video, and other \
         exclusive perks.",
            "This video is available to this channel's members on level: Fan (or any higher level). \
         Join this YouTube channel from your computer or Android app.",
            "This video is only available to Music Premium members",
            "This video requires payment to watch",
            "This video is only available to YouTube Premium members",
            "Video restricted. Try signing in with another account. This video is restricted",
            "This video is only available for registered users. Use --cookies, --cookies-from-browser, \
         --username and --password, --netrc-cmd, or --netrc (canal) to provide account credentials",
            "Login required to access this video",
            "NSFW tweet requires authentication",
            "You are not authorized to view this protected tweet",
            "This user's account is private. Log into an account that has access",
            "This content is only available for registered users who follow this account",
            "Instagram sent an empty media response. Check if this post is accessible in your browser \
         without being logged-in. If it is not, then use --cookies-from-browser",
            "This video is only available for subscribers",
            "This VOD is for subscribers only",
            "You must be logged into an account that has access to this subscriber-only content",
            "This content is only available with purchase",
            "You need to purchase the course to download this episode",
            "Ticket purchase is required for this stream",
            "This video is paid, subscribe to download it",
            "This movie is available to rent. Rent this movie to watch it",
            "This video is for premium members only",
            "Video requires CDA Premium - subscription needed",
            "This song is only for VIP accounts.",
            "The song is only for VIP accounts.",
            "This program is only available for premium supporters",
            "Your account does not have access to this content",
            "You don't have access to this class",
            "You do not have permission to view this post. Log into an account that has access",
            "This video is protected by a password, use the --video-password option",
            "This video is protected by a passcode, use the --video-password option",
            "Only users older than 19 are able to watch this video",
            "This video is only available for age verified users or after 22:00",
            "Private subreddit; an account that has been approved is required",
            "HTTP Error 403 Forbidden; reason given: private",
            "Unable to download JSON metadata: HTTP Error 401: Unauthorized (caused by <HTTPError 401: \
         Unauthorized>)",
            "An account is needed to access this media",
            "This video is locked",
            "Track is restricted",
            "Your token has expired or is invalid.",
        ],
    ),
    (
        451,
        "geo-blocked",
        &[
            "The uploader has not made this video available in your country\nThis video is available \
         in Germany, France.\nYou might want to use a VPN or a proxy server (with --proxy)",
            "Video unavailable. This video contains content from WMG, who has blocked it in your \
         country on copyright grounds",
            "Video unavailable. This video isn\u{2019}t available in your country",
            "This video is not available in your region",
            "Vevo said: This page is currently unavailable in your region",
            "This video is not available from your location due to geo restriction",
            "This video is not available from your location due to geo-restriction, or not being \
         authenticated",
            "This video is not available due to geoblocking",
            "Track unavailable in your country due to licensing restrictions",
            "This song is blocked in this region",
            "Youku said: Sorry, this video is available in China only",
            "This video is only available in Sweden",
            "The video is only licensed to users in Mainland China.",
            "No media links found; possibly due to geo restriction",
            "Unable to download webpage: HTTP Error 451: Unavailable For Legal Reasons",
            "Access to this webpage has been blocked by decision of the Russian government.",
        ],
    ),
    (
        422,
        "drm",
        &[
            "This video is DRM protected",
            "The requested site is known to use DRM protection. It will NOT be supported.",
        ],
    ),
    (
        422,
        "no-format",
        &[
            "Requested format is not available. Use --list-formats for a list of available formats",
            "No video formats found!; please report this issue on  https://github.com/yt-dlp",
            "No video could be found in this tweet",
            "There is no video in this post",
            "There's no video in this post.; please report this issue on  https://github.com/",
            "No media found",
            "This article does not contain a video",
            "The given url does not contain a video",
            "Media #2 is not a video",
            "Could not find suitable formats",
        ],
    ),
    (
        503,
        "not-yet",
        &[
            "This live event will begin in 3 hours.",
            "Premieres in 25 minutes",
            "Premiere will begin shortly",
            "We're processing this video. Check back later.",
            "We\u{2019}re processing this video",
            "This video is currently being processed",
            "This video is processing",
            "This video is currently unavailable. It may still be uploading or processing.",
            "The channel is not currently live",
            "Livestream has not yet started",
            "Twitter Space not started yet",
            "Twitter Space ended but not downloadable yet",
            "This event has ended, and the archive will be available shortly",
            "Stream is offline; scheduled for Monday",
            "This livestream is scheduled to start at 20:00",
            "This video is not available yet. Release date: 2026-12-01",
            "This video is only available after 20:00",
            "Streamer is not live",
        ],
    ),
    (
        404,
        "not-available",
        &[
            "Video unavailable. This video is not available",
            "Video unavailable",
            "Video unavailable. This video isn't available anymore",
            "Video unavailable. This video has been removed by the uploader",
            "This video has been removed for violating YouTube's policy on nudity or sexual content",
            "This video has been removed for violating YouTube's Terms of Service",
            "Video unavailable. This video is no longer available because the YouTube account \
         associated with this video has been terminated.",
            "Video unavailable. This video is no longer available because the uploader has closed \
         their YouTube account",
            "Video unavailable. This video is no longer available due to a copyright claim by UMG",
            "Video unavailable. This video contains content from SME, who has blocked it on copyright \
         grounds",
            "This live stream recording is not available.",
            "Video not available, status code 10204; please report this issue on  https://github.com",
            "Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404: Not Found>)",
            "Unable to download webpage: HTTP Error 410: Gone (caused by <HTTPError 410: Gone>)",
            "Video 1234 does not exist",
            "This video doesn't exist",
            "This clip is no longer available",
            "Content not found; it has most likely expired",
            "Broadcast no longer exists",
            "This livestream has ended",
            "Twitter Space ended and replay is disabled",
            "this song has been offline because of copyright issues",
            "Channel \"x\" not found",
            "The link is expired",
            "Video was deleted",
            "This content is currently unavailable",
            "YouTube said: The playlist does not exist.",
        ],
    ),
    (
        400,
        "unsupported-link",
        &[
            "'notalink' is not a valid URL",
            "Invalid URL",
            "No suitable extractor (Youtube) found for URL http://a.example/",
            "Incomplete YouTube ID abc. URL https://www.youtube.com/watch?v=abc looks truncated.",
            "This website is no longer supported since it has been determined to be primarily used \
         for piracy.",
            "Cannot download embed-only video without embedding URL. Please call yt-dlp with the URL \
         of the page that embeds this video.",
        ],
    ),
    (
        504,
        "resolve-timeout",
        &[
            "Unable to download webpage: The read operation timed out (caused by \
         TransportError('The read operation timed out'))",
            "Unable to download API page: ('Connection to a.example timed out. (connect timeout=10)')",
        ],
    ),
    (
        502,
        "site-unreachable",
        &[
            "Unable to download webpage: HTTP Error 403: Forbidden (caused by <HTTPError 403: Forbidden>)",
            "Unable to download JSON metadata: HTTP Error 400: Bad Request",
            "HTTP Error 503: Service Unavailable",
            "Unable to download webpage: HTTP Error 502: Bad Gateway",
            "Unable to download webpage: HTTP Error 504: Gateway Timeout",
            "Unable to download webpage: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: \
         unable to get local issuer certificate (_ssl.c:1006)",
            "Unable to download webpage: Failed to resolve 'nowhere.invalid' ([Errno -2] Name or \
         service not known)",
            "Unable to download webpage: [Errno 111] Connection refused",
            "Unable to download webpage: ('Connection aborted.', RemoteDisconnected('Remote end closed \
         connection without response'))",
            "Unable to download webpage: 3 bytes read, 8 more expected (caused by IncompleteRead)",
            "A network error has occurred.",
        ],
    ),
    (
        502,
        "extractor-broken",
        &[
            "The following content is not available on this app.. Watch on the latest version of \
         YouTube.",
            "YouTube is not currently available on this device.",
            "The page needs to be reloaded.",
            "Playback on other websites has been disabled by the video owner",
            "Unable to extract title; please report this issue on  https://github.com/yt-dlp",
            "An extractor error has occurred. (caused by KeyError('streamingData')); please report this \
         issue on  https://github.com/yt-dlp/yt-dlp/issues?q=",
            "Failed to extract any player response; please report this issue on  https://github.com",
            "abc: Failed to parse JSON (caused by JSONDecodeError('Expecting value'))",
            "Cannot identify player 'x'; please report this issue on  https://github.com/yt-dlp",
            "Video id was found nowhere; please report this issue on  https://github.com/yt-dlp",
        ],
    ),
    (502, "resolve-failed", &["The moon is in the wrong phase", "Twitter API says: Over capacity"]),
];

/// The error says that there is no format, and a warning before it says why.
pub(super) const WARNED: &[(u16, &str, &str)] = &[
    (
        422,
        "drm",
        "WARNING: This video is drm protected and only images are available for download. Use",
    ),
    (
        500,
        "resolver-missing",
        "WARNING: [youtube] No supported JavaScript runtime could be found. Only deno is enabled \
         by default\nWARNING: [youtube] x: n challenge solving failed: Some formats may be missing.",
    ),
    (
        502,
        "extractor-broken",
        "WARNING: [youtube] x: n challenge solving failed: Some formats may be missing. Ensure you \
         have a supported JavaScript runtime and challenge solver script distribution installed.",
    ),
    (
        502,
        "extractor-broken",
        "WARNING: [youtube] x: Signature solving failed: Some formats may be missing.\n\
         WARNING: [youtube] x: Some tv client https formats have been skipped as they are DRM \
         protected.\nWARNING: Only images are available for download. Use --list-formats",
    ),
    (
        502,
        "extractor-broken",
        "WARNING: [youtube] x: ios client https formats require a GVS PO Token which was not \
         provided. They will be skipped as they may yield HTTP Error 403.",
    ),
    (
        502,
        "extractor-broken",
        "WARNING: [youtube] Some web client https formats have been skipped as they are missing a \
         URL. YouTube may have enabled the SABR-only streaming experiment for the current session",
    ),
    (
        503,
        "site-busy",
        "WARNING: [youtube] Unable to download webpage: HTTP Error 429: Too Many Requests",
    ),
    (422, "no-format", "WARNING: Only images are available for download. Use --list-formats"),
    (422, "no-format", "WARNING: [x] Deprecated: this is not what\nWARNING: was started before"),
];
